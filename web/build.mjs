// Bundles src/ into the one page that glowplug-report embeds. `--check` says whether the checked-in page is current.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";
import * as esbuild from "esbuild";

const folder = path.dirname(fileURLToPath(import.meta.url));
const asset = path.join(folder, "../crates/glowplug-report/assets/page.html");

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

/** The whole page, with its placeholders for title and data left in. */
async function page() {
  const script = await bundle("src/main.js");
  const style = await bundle("src/page.css");
  const template = await readFile(path.join(folder, "src/template.html"), "utf8");
  const parts = {
    LICENCES: await licences([...script.inputs, ...style.inputs]),
    STYLE: style.text,
    SCRIPT: script.text,
  };
  return template.replace(/\{\{(LICENCES|STYLE|SCRIPT)\}\}/g, (_, name) => parts[name]);
}

const made = await page();
if (process.argv.includes("--check")) {
  const present = await readFile(asset, "utf8").catch(() => "");
  if (present !== made) {
    console.error("crates/glowplug-report/assets/page.html is not what web/src makes: run `npm run build` in web/");
    process.exitCode = 1;
  }
} else {
  await writeFile(asset, made);
  console.log(`page.html: ${(made.length / 1000).toFixed(0)} kB`);
}
