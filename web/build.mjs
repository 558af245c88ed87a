// Bundles src/ into the pages that crates embed, one file each. `--check` says whether the checked-in pages are current.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";
import * as esbuild from "esbuild";

const folder = path.dirname(fileURLToPath(import.meta.url));

/** The pages: where each goes, and what it is made of. */
const PAGES = [
  { asset: "crates/glowplug-report/assets/page.html", script: "src/main.js", style: "src/page.css", template: "src/template.html" },
  { asset: "crates/glowplug-report/assets/tune.html", script: "src/tune/main.js", style: "src/tune/tune.css", template: "src/template.html" },
  { asset: "crates/glowplug-lambda/assets/status.html", script: "src/status/main.js", style: "src/status/status.css", template: "src/status/status.html" },
];

/** One bundled file as text: scripts or styles, by the name of `entry`. */
async function bundle(entry) {
  const result = await esbuild.build({
    absWorkingDir: folder,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    charset: "utf8",
    format: "iife",
    legalComments: "none",
    logLevel: "warning",
    target: ["chrome123", "firefox120", "safari17.5"],
  });
  return { text: result.outputFiles[0].text.trim(), inputs: Object.keys(result.metafile.inputs) };
}

/** The licences of the packages that `inputs` come from, equal ones together. */
async function licences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  const byTerms = new Map();
  for (const name of [...packages].sort()) {
    const text = await readFile(path.join(folder, "node_modules", name, "LICENSE"), "utf8");
    const lines = text.replaceAll("\r", "").trim().split("\n");
    const holders = lines.filter((line) => line.startsWith("Copyright")).join("; ");
    const terms = lines.filter((line) => !line.startsWith("Copyright")).join("\n").trim();
    byTerms.set(terms, [...(byTerms.get(terms) ?? []), `${name}: ${holders}`]);
  }
  const blocks = [...byTerms].map(([terms, names]) => `${names.join("\n")}\n\n${terms}`);
  return blocks.join("\n\n").replaceAll("--", "- -");
}

/** A whole page, with the placeholders of what the program fills in left in. */
async function page(parts) {
  const script = await bundle(parts.script);
  const style = await bundle(parts.style);
  const template = await readFile(path.join(folder, parts.template), "utf8");
  const filled = {
    LICENCES: await licences([...script.inputs, ...style.inputs]),
    STYLE: style.text,
    SCRIPT: script.text,
  };
  return template.replace(/\{\{(LICENCES|STYLE|SCRIPT)\}\}/g, (_, name) => filled[name]);
}

for (const parts of PAGES) {
  const asset = path.join(folder, "..", parts.asset);
  const made = await page(parts);
  if (process.argv.includes("--check")) {
    const present = await readFile(asset, "utf8").catch(() => "");
    if (present !== made) {
      console.error(`${parts.asset} is not what web/src makes: run \`npm run build\` in web/`);
      process.exitCode = 1;
    }
  } else {
    await writeFile(asset, made);
    console.log(`${path.basename(asset)}: ${(made.length / 1000).toFixed(0)} kB`);
  }
}
