// Figures as people read them. What was not measured is said so, and is never 0.

export const NOT_MEASURED = "not measured";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** `0.42 ms`, `7.3 ms`, `312 ms`. */
export function ms(value) {
  if (!known(value)) return NOT_MEASURED;
  const size = Math.abs(value);
  if (size === 0) return "0 ms";
  return `${size < 1 ? value.toFixed(2) : size < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** Bytes with decimal units: `17.5 MB`. */
export function bytes(value) {
  if (!known(value)) return NOT_MEASURED;
  const units = ["B", "kB", "MB", "GB"];
  let step = 0;
  let rest = value;
  while (Math.abs(rest) >= 1000 && step < units.length - 1) {
    rest /= 1000;
    step += 1;
  }
  return `${step === 0 || Math.abs(rest) >= 100 ? rest.toFixed(0) : rest.toFixed(1)} ${units[step]}`;
}

/** KiB as MiB where that reads better. */
export function kib(value) {
  if (!known(value)) return NOT_MEASURED;
  return Math.abs(value) >= 1024 ? `${(value / 1024).toFixed(1)} MiB` : `${value.toFixed(0)} KiB`;
}

/** A part as a percentage. */
export function percent(value) {
  if (!known(value)) return NOT_MEASURED;
  const of = value * 100;
  return `${Math.abs(of) < 10 ? of.toFixed(1) : of.toFixed(0)} %`;
}

/** A ratio: `×0.42`. */
export function ratio(value) {
  return known(value) ? `×${value < 10 ? value.toFixed(2) : value.toFixed(1)}` : NOT_MEASURED;
}

/** The median of a figure. */
export function median(stat, write = ms) {
  return stat ? write(stat.median) : NOT_MEASURED;
}

/** The 95 % interval of a figure, where more than one run is behind it. */
export function interval(stat, write = ms) {
  if (!stat) return "";
  if (stat.runs < 2) return "1 run, no interval";
  return `[${write(stat.low)}, ${write(stat.high)}]`;
}

/** Median, interval and runs in one text. */
export function stat(figure, write = ms) {
  if (!figure) return NOT_MEASURED;
  return figure.runs < 2 ? write(figure.median) : `${write(figure.median)} ${interval(figure, write)}, ${figure.runs} runs`;
}

/** `1 import`, `2 imports`. */
export function many(count, one, more = `${one}s`) {
  return `${count} ${count === 1 ? one : more}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Who used something: `none of 3 events`, `health`, `all 3 events`. */
export function users(names, events) {
  if (names.length === 0) return events === 0 ? "no events traced" : "none";
  if (events > 1 && names.length === events) return `all ${events} events`;
  return names.join(", ");
}
