import { formatDuration } from "./duration.ts";
import { keySpec, type LinkerdKey } from "./keys.ts";
import { GRPC_CODES, isGrpcCode, statusRange } from "./lists.ts";
import { editDistance } from "./nearest.ts";
import { parseValue } from "./values.ts";
import { type LinkerdVersion, supports } from "./version.ts";

/** Longer values are not worth repairing. */
const VALUE_CHARACTERS_MAX = 512;

/** What people write for each unit, in milliseconds. */
const MS_PER_WRITTEN_UNIT: ReadonlyMap<string, number> = new Map(
  [
    { words: "us µs μs micros microsecond microseconds", ms: 0.001 },
    { words: "ms msec msecs milli millis millisecond milliseconds", ms: 1 },
    { words: "s sec secs second seconds", ms: 1000 },
    { words: "m min mins minute minutes", ms: 60_000 },
    { words: "h hr hrs hour hours", ms: 3_600_000 },
    { words: "d day days", ms: 86_400_000 },
  ].flatMap(({ words, ms }) => words.split(" ").map((word) => [word, ms] as const)),
);

const TRUE_WORDS: ReadonlySet<string> = new Set(["true", "yes", "y", "on", "enable", "enabled", "1.0"]);
const FALSE_WORDS: ReadonlySet<string> = new Set(["false", "no", "n", "off", "disable", "disabled", "none", "0.0"]);

/** The numbers of the gRPC codes that Linkerd can retry, and the other common spelling of one. */
const GRPC_ALIASES: ReadonlyMap<string, string> = new Map([
  ["1", "cancelled"],
  ["canceled", "cancelled"],
  ["4", "deadline-exceeded"],
  ["8", "resource-exhausted"],
  ["13", "internal"],
  ["14", "unavailable"],
]);

/**
 * A value that Linkerd takes for this key and that says what `value` was meant to say; undefined where the value is
 * fine or the meaning is anyone's guess. It is right by itself: rules between keys are read.ts's business.
 */
export function suggestValue(key: LinkerdKey, value: string, version: LinkerdVersion): string | undefined {
  if (value.length > VALUE_CHARACTERS_MAX || parseValue(key, value, version).ok) return undefined;
  const suggestion = repaired(key, unwrapped(value), version);
  return suggestion !== undefined && parseValue(key, suggestion, version).ok ? suggestion : undefined;
}

function repaired(key: LinkerdKey, text: string, version: LinkerdVersion): string | undefined {
  const { kind } = keySpec(key);
  switch (kind) {
    case "accrualMode":
      return repairedMode(text, version);
    case "u16":
    case "u32":
      return repairedInteger(text);
    case "jitterRatio":
    case "fraction":
      return repairedRatio(text);
    case "bool":
      return repairedBool(text);
    case "duration":
    case "positiveDuration":
    case "u32Duration":
      return repairedDuration(text);
    case "statusList":
      return repairedList(text, repairedStatus);
    case "grpcList":
      return repairedList(text, repairedGrpcCode);
    default:
      return kind satisfies never;
  }
}

/** In plain ASCII where Unicode has an equivalent, without the quotes or brackets that templates leave behind. */
function unwrapped(value: string): string {
  return value
    .normalize("NFKC")
    .replaceAll(/[\s\u0085\u200b"'`[\]]+/gu, " ")
    .trim();
}

/** Before 2.20 there is but one mode, so whatever was written can only mean that one. */
function repairedMode(text: string, version: LinkerdVersion): string | undefined {
  if (!supports(version, "unifiedAccrual")) return isFalse(text) ? undefined : "consecutive";
  const word = text.toLowerCase();
  if (word.startsWith("consecutive")) return "consecutive";
  return ["consecutive", "unified"].find((mode) => editDistance(word.slice(0, 32), mode) <= 2);
}

/** `3.0`, `1_000`, `1,000`, `1e3` and `+ 3` as plain digits. Fractions stay unanswered. */
function repairedInteger(text: string): string | undefined {
  const compact = text.replaceAll(/(?<=[0-9])[_,](?=[0-9]{3}(?![0-9]))/g, "").replace(/^\+ */, "");
  if (!/^[0-9]+(?:\.0*)?(?:[eE]\+?[0-9]{1,2})?$/.test(compact)) return undefined;
  return plainNumber(Number(compact));
}

/** `50%` and `50 %` as 0.5, a decimal comma as a point. */
function repairedRatio(text: string): string | undefined {
  const match = /^([0-9]*[.,]?[0-9]+) ?(%?)$/.exec(text);
  if (match === null) return undefined;
  const number = Number((match[1] ?? "").replace(",", "."));
  return plainNumber(match[2] === "%" ? number / 100 : number);
}

/** JavaScript switches to exponents beyond these, which nobody wants to read. */
function plainNumber(number: number): string | undefined {
  return number === 0 || (number >= 1e-6 && number < 1e21) ? String(number) : undefined;
}

function repairedBool(text: string): string | undefined {
  if (TRUE_WORDS.has(text.toLowerCase())) return "true";
  return isFalse(text) ? "false" : undefined;
}

function isFalse(text: string): boolean {
  return FALSE_WORDS.has(text.toLowerCase());
}

/** `0.5s`, `1m30s`, `10 S`, `10 seconds`; a bare number is seconds. Only whole milliseconds above zero. */
function repairedDuration(text: string): string | undefined {
  const compact = text.toLowerCase().replaceAll(" ", "").replace(/^\+/, "");
  if (/^[0-9]*\.?[0-9]+$/.test(compact)) return formattedDuration(Number(compact) * 1000);
  if (!/^(?:[0-9]*\.?[0-9]+[a-zµμ]+)+$/.test(compact)) return undefined;
  let total = 0;
  for (const [, number, unit = ""] of compact.matchAll(/([0-9.]+)([a-zµμ]+)/g)) {
    total += Number(number) * (MS_PER_WRITTEN_UNIT.get(unit) ?? Number.NaN);
  }
  return formattedDuration(total);
}

/** Sums of fractions miss whole numbers by a hair (1.1s is 1100.0000000000002 ms). */
function formattedDuration(milliseconds: number): string | undefined {
  const whole = Math.round(milliseconds);
  const isWhole = Math.abs(whole - milliseconds) <= 1e-9 * whole;
  return isWhole && whole > 0 && Number.isSafeInteger(whole) ? formatDuration(whole) : undefined;
}

/** The items that can be saved, in their order, without doubles; undefined where none can. */
function repairedList(text: string, repairItem: (item: string) => string | undefined): string | undefined {
  const items = text
    .replaceAll(/ *([-\u2013]) */g, "-")
    .split(/[\s,;|]+/)
    .map(repairItem)
    .filter((item) => item !== undefined);
  return items.length === 0 ? undefined : [...new Set(items)].join(",");
}

function repairedStatus(item: string): string | undefined {
  if (statusRange(item) !== undefined) return item;
  const word = item.toLowerCase();
  if (/^gateway[-_ ]?error$/.test(word)) return "gateway-error";
  const classOf = /^(4)xx$|^([45][0-9])x$/.exec(word);
  if (classOf?.[1] !== undefined) return "400-499";
  if (classOf?.[2] !== undefined) return `${classOf[2]}0-${classOf[2]}9`;
  const [from, to] = word.split("-");
  return to !== undefined && statusRange(`${to}-${from}`) !== undefined ? `${to}-${from}` : undefined;
}

function repairedGrpcCode(item: string): string | undefined {
  if (isGrpcCode(item.toLowerCase())) return item;
  const dashed = item
    .replaceAll(/([a-z])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .replaceAll("_", "-");
  const code = GRPC_ALIASES.get(dashed) ?? dashed;
  return GRPC_CODES.find((known) => known === code);
}
