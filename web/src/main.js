// Reads the page's data and puts its sections together, in the order in which they answer questions.

import { showPage } from "./frame.js";
import { modelOf } from "./model.js";
import { conditions } from "./conditions.js";
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
  showPage({ title, facts: conditions(models, report), sections: sectionsOf(models, report), nothing: "There is nothing to show: the page holds no trace and no report." });
}

start();
