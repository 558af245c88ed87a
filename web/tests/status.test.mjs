// The page of a running server, against a server of ours that tells what a test wants.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const html = readFileSync(path.join(here, "../../crates/glowplug-lambda/assets/status.html"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CHROMIUMS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const browser = await chromium.launch({
  executablePath: CHROMIUMS.find((at) => at && existsSync(at)),
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
after(() => browser.close());

const run = (id, status = "success") => ({
  function: "report", version: "1", request_id: id, ended_ms: 1_780_000_000_000, status, duration_ms: 47.28, init_ms: status === "success" ? null : 340.7, memory_mb: 86,
});

/** A status with one function. */
function statusOf({ total = 2, last = [run("b", "timeout"), run("a")], name = "report" } = {}) {
  return {
    schema: "glowplug.status/1",
    endpoint: "http://127.0.0.1:9001",
    now_ms: 1_780_000_000_000,
    concurrency: { limit: 1000, busy: 1 },
    events_waiting: 0,
    functions: [
      {
        name, runtime: "python3.13", handler: "app.handler", architecture: "x86_64", memory_mb: 512, timeout_s: 30, variables: ["STAGE"], versions: [1, 2],
        aliases: { live: { version: "1", weights: { 2: 0.25 } } }, urls: [{ qualifier: "live", url: `http://127.0.0.1:9001/lambda-url/${name}:live/`, signed: true }],
        reserved: null, environments: { idle: 3, busy: 1, provisioned: 2 }, invokes: { total, cold: 1, errors: 1, throttles: 4 }, billed_ms: 95, usd: 0.0001,
      },
    ],
    last,
  };
}

/** The page on a server that tells `told.status`; `null` is a server that fails. */
async function open(t, told, { scheme = "light", width = 1280 } = {}) {
  const server = createServer((request, answer) => {
    if (request.url === "/") return answer.setHeader("content-type", "text/html").end(html);
    if (request.url !== "/_glowplug/status" || told.status === null) return answer.writeHead(500).end();
    return answer.setHeader("content-type", "application/json").end(JSON.stringify(told.status));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  const complaints = [];
  const requests = new Set();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => requests.add(request.url()));
  t.after(async () => {
    await context.close();
    server.closeAllConnections();
    server.close();
  });
  await page.goto(url);
  await page.getByRole("heading", { name: "The last invokes" }).waitFor();
  return { page, complaints, requests, url };
}

const figure = (page, name) => page.locator("dt", { hasText: new RegExp(`^${name}$`) }).locator("xpath=following-sibling::dd");

test("it shows functions, environments, counts and the last invokes, and asks for nothing else", async (t) => {
  const { page, complaints, requests, url } = await open(t, { status: statusOf() });
  await page.getByRole("heading", { name: "report" }).waitFor();
  for (const [name, text] of [["Idle", "3"], ["Busy", "1"], ["Provisioned", "2"], ["Invokes", "2"], ["Throttled", "4"], ["Billed", "95 ms"]]) {
    assert.equal(await figure(page, name).textContent(), text, name);
  }
  await page.locator("summary").click();
  const details = await page.locator("details").textContent();
  for (const part of ["1, 2", "live → 1, 25 % to 2", "report:live/ (signed requests)", "STAGE"]) assert.ok(details.includes(part), `${part} in ${details}`);
  const rows = await page.locator("tbody tr").allTextContents();
  assert.equal(rows.length, 2);
  assert.match(rows[0], /timeout.*47\.3 ms.*341 ms.*86 MB/);
  await page.getByRole("button", { name: "Copy" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, "curl -d '{}' http://127.0.0.1:9001/2015-03-31/functions/report/invocations");
  assert.deepEqual(complaints, []);
  assert.deepEqual([...requests].sort(), [url, `${url}_glowplug/status`]);
});

test("figures follow, functions come and go, and what was opened stays open", async (t) => {
  const told = { status: statusOf() };
  const { page } = await open(t, told);
  await page.locator("summary").click();
  told.status = statusOf({ total: 7, last: [run("c"), run("b", "timeout"), run("a")] });
  await page.getByText("7", { exact: true }).waitFor();
  await page.locator("tbody tr").nth(2).waitFor();
  assert.equal(await page.locator("details").getAttribute("open"), "");
  told.status = statusOf({ name: "<b>other" });
  await page.getByRole("heading", { name: "<b>other" }).waitFor();
  assert.equal(await page.getByRole("heading", { name: "report" }).count(), 0);
  told.status = { ...statusOf({ last: [] }), functions: [] };
  await page.getByText("There is no function yet").waitFor();
});

test("a server that does not answer is told, and asked again", async (t) => {
  const told = { status: statusOf() };
  const { page } = await open(t, told);
  await page.getByRole("heading", { name: "report" }).waitFor();
  told.status = null;
  const warning = page.getByText("The server does not answer");
  await warning.waitFor();
  assert.equal(await page.getByRole("heading", { name: "report" }).count(), 1, "what was known stays");
  told.status = statusOf();
  await warning.waitFor({ state: "detached" });
});

for (const scheme of ["light", "dark"]) {
  for (const width of [360, 1280]) {
    test(`${scheme}, ${width} wide: axe finds nothing, and the page does not scroll sideways`, async (t) => {
      const { page } = await open(t, { status: statusOf() }, { scheme, width });
      await page.locator("summary").click();
      await page.evaluate(axe);
      const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      assert.deepEqual(result.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 140)}`), []);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(wide <= room, `${wide} > ${room}`);
      if (process.env.KEEP_SHOTS) await page.screenshot({ path: `${process.env.KEEP_SHOTS}/status-${scheme}-${width}.png`, fullPage: true });
    });
  }
}
