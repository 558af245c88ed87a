// Reads the page's data and puts its sections together, in the order in which they answer questions.

import { h } from "./dom.js";
import { modelOf } from "./model.js";
import { header } from "./header.js";
import { headline } from "./headline.js";
import { phases } from "./phases.js";
import { kinds } from "./kinds.js";
import { importTree } from "./tree.js";
import { memory } from "./memory.js";
import { tables } from "./tables.js";
import { comparison } from "./comparison.js";
import { decisions } from "./decisions.js";
import { verdict } from "./verdict.js";
import { aside } from "./aside.js";

/** The sections that there is something to show in, each with the name that the contents use. */
function sectionsOf(models, report) {
  const latest = models.at(-1);
  return [
    models.length > 0 || report ? ["Summary", headline(models, report)] : null,
    report ? ["Before and after", comparison(models, report)] : null,
    report ? ["Verdict", verdict(report)] : null,
    models.length > 0 ? ["Phases", phases(models)] : null,
    models.length > 0 ? ["Import tree", importTree(models)] : null,
    models.length > 0 ? ["Kinds of work", kinds(models)] : null,
    models.length > 0 ? ["Memory", memory(models)] : null,
    models.length > 0 ? ["Tables", tables(models)] : null,
    report ? ["Decisions", decisions(report)] : null,
    latest ? ["Besides imports", aside(models)] : null,
  ].filter((entry) => entry && entry[1]);
}

function start() {
  const { title, traces, report } = JSON.parse(document.getElementById("data").textContent);
  const models = traces.map(([label, trace]) => modelOf(label, trace));
  const sections = sectionsOf(models, report);
  for (const [name, section] of sections) section.id = name.toLowerCase().replaceAll(" ", "-");
  const main = h("main", { id: "main", tabindex: "-1" }, sections.map(([, section]) => section));
  if (sections.length === 0) main.append(h("p", {}, "There is nothing to show: the page holds no trace and no report."));
  document.getElementById("page").replaceWith(
    h("a", { class: "skip", href: "#main" }, "Skip to the summary"),
    header(title, models, report, sections),
    main,
    h("footer", {}, h("p", {}, "Written by glowplug. This file is complete: it loads nothing from a network.")),
  );
}

start();
