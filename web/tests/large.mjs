// A trace with as many imports as a large function has: packages of modules, four levels deep.

import { readFileSync } from "node:fs";
import { fixture } from "./browser.mjs";

/** A trace of `count` imports. */
export function large(count) {
  const trace = JSON.parse(readFileSync(fixture("before"), "utf8"));
  const [model] = trace.imports.filter((entry) => entry.module === "pandas");
  const imports = [{ ...trace.imports.find((entry) => entry.module === "app"), self_ms: 1 }];
  for (let index = 1; index < count; index += 1) {
    const above = imports[Math.floor((index - 1) / 6)];
    imports.push({
      ...model,
      module: `package${index % 40}.module${index}`,
      distribution: `package${index % 40}`,
      parent: above.module,
      start_ms: index,
      self_ms: 0.1 + ((index * 7919) % 101) / 50,
      total_ms: 1,
      used_by: index % 3 === 0 ? ["health"] : [],
    });
  }
  return { ...trace, imports, statements: [], lines: [] };
}
