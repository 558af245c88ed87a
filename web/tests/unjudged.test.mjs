// Where no event ran, nobody can say what is used: the page does not.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { close, fixture, open, render } from "./browser.mjs";

after(close);

test("without an event nothing is called paid and not used", async () => {
  const { page, complaints } = await open(render({ trace: fixture("failed") }));
  await page.locator(".item").first().waitFor();
  assert.equal(await page.locator(".item.unused").count(), 0);
  assert.doesNotMatch(await page.locator("main").innerText(), /not used/i);
  await page.getByRole("button", { name: "Used or not" }).click();
  assert.doesNotMatch(await page.locator(".legend").first().innerText(), /not used/);
  assert.deepEqual(complaints, []);
  await page.context().close();
});
