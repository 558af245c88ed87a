// Pages as the Rust renderer makes them, opened in a real Chromium that may ask for nothing but the file.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(path.join(tmpdir(), "glowplug-page-"));
let made = 0;
let built = false;
let browser = null;

const CHROMIUMS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The path of a fixture. */
export const fixture = (name) => path.join(here, "fixtures", `${name}.json`);

/** Keeps a document where the renderer can read it. */
export function keep(document) {
  const file = path.join(folder, `document-${(made += 1)}.json`);
  writeFileSync(file, JSON.stringify(document));
  return file;
}

/** Renders a page: `documents` by label. Gives the file. */
export function render(documents, title = "A page") {
  if (!built) {
    execFileSync("cargo", ["build", "--quiet", "--locked", "-p", "glowplug-report", "--example", "page"], { cwd: root, stdio: "inherit" });
    built = true;
  }
  const file = path.join(folder, `page-${(made += 1)}.html`);
  const program = path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug/examples/page");
  execFileSync(program, [file, title, ...Object.entries(documents).map(([label, from]) => `${label}=${from}`)]);
  return file;
}

/**
 * Opens a rendered file, and gives the page with what went wrong on it: `complaints` are errors and console messages,
 * `requests` everything that was asked for besides the file.
 */
export async function open(file, { width = 1280, height = 900, scheme = "light", reduced = true } = {}) {
  browser ??= await chromium.launch({ executablePath: CHROMIUMS.find((at) => at && existsSync(at)), args: FLAGS });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: reduced ? "reduce" : "no-preference" });
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  const url = pathToFileURL(file).href;
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => request.url() !== url && requests.push(request.url()));
  await page.goto(url);
  await page.locator("footer").waitFor();
  return { page, complaints, requests };
}

/** What axe says of a page, as one line each. */
export async function findings(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 140)).join(" | ")}`);
}

/** Ends the browser and removes what was made. */
export async function close() {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
}
