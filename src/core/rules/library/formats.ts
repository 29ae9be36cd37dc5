import type { Library } from "../cel/library.ts";
import { CelError, Optional, type Opaque, type Value } from "../cel/values.ts";
import { type Cost, declare, method, opaque, patternCost, plain, STRING, STRINGS, sizeOf } from "./define.ts";
import {
  type Check,
  dns1035Label,
  dns1123Label,
  dns1123Subdomain,
  labelValue,
  prefixOf,
  qualifiedName,
} from "./names.ts";
import { uriProblem } from "./url.ts";

const NAME = "kubernetes.NamedFormat";
const FORMAT = opaque(NAME);

class NamedFormat implements Opaque {
  readonly opaque = NAME;
  readonly name: string;
  readonly check: Check;
  /** Characters of the pattern that its check counts for (MaxRegexSize). */
  readonly patternSize: number;

  constructor(name: string, patternSize: number, check: Check) {
    this.name = name;
    this.patternSize = patternSize;
    this.check = check;
  }

  equals(other: Opaque): boolean {
    return other instanceof NamedFormat && other.name === this.name;
  }

  toString(): string {
    return this.name;
  }
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const BASE64 = /^(?:[A-Za-z0-9+\\/]{4})*(?:[A-Za-z0-9+\\/]{2}==|[A-Za-z0-9+\\/]{3}=|[A-Za-z0-9+\\/]{4})$/;
const TIME = /^(\d{2}):(\d{2}):(\d{2})([^\n]\d+)?(z|[+-]\d{2}:\d{2})$/u;
/** Lengths of the patterns of kube-openapi's strfmt, which Kubernetes takes its costs from. */
const UUID_SIZE = 70;
const TIME_SIZE = 71;

/** By name; pattern sizes of apiserver/pkg/cel/library/format.go. */
const FORMATS: ReadonlyMap<string, NamedFormat> = new Map(
  [
    new NamedFormat("dns1123Label", 30, dns1123Label),
    new NamedFormat("dns1123Subdomain", 60, dns1123Subdomain),
    new NamedFormat("dns1035Label", 30, dns1035Label),
    new NamedFormat("qualifiedName", 60, qualifiedName),
    new NamedFormat("dns1123LabelPrefix", 30, prefixOf(dns1123Label)),
    new NamedFormat("dns1123SubdomainPrefix", 60, prefixOf(dns1123Subdomain)),
    new NamedFormat("dns1035LabelPrefix", 30, prefixOf(dns1035Label)),
    new NamedFormat("labelValue", 40, labelValue),
    new NamedFormat("uri", 1103, (text) => {
      const problem = uriProblem(text);
      return problem === undefined ? [] : [problem];
    }),
    new NamedFormat(
      "uuid",
      UUID_SIZE,
      failing((text) => UUID.test(text), "does not match the UUID format"),
    ),
    new NamedFormat(
      "byte",
      84,
      failing((text) => BASE64.test(text), "invalid base64"),
    ),
    new NamedFormat("date", TIME_SIZE, failing(isDate, "invalid date")),
    new NamedFormat("datetime", TIME_SIZE, failing(isDateTime, "invalid datetime")),
  ].map((format) => [format.name, format]),
);

/** apiserver/pkg/cel/library/format.go. */
export const formats: Library = {
  functions: [
    ...[...FORMATS].map(([name, format]) =>
      declare(`format.${name}`, plain({ id: `format.${name}`, parameters: [], result: FORMAT, call: () => format })),
    ),
    declare(
      "format.named",
      plain({
        id: "format-named",
        parameters: [STRING],
        result: { kind: "optional", of: FORMAT },
        call: (name: string) => optional(FORMATS.get(name)),
        cost: () => 1,
      }),
    ),
    declare(
      "validate",
      method({
        id: "format-validate",
        parameters: [FORMAT, STRING],
        result: { kind: "optional", of: STRINGS },
        call: validate,
        cost: validateCost(),
      }),
    ),
  ],
};

function validate(format: NamedFormat, text: string): Optional {
  const problems = format.check(text);
  return optional(problems.length === 0 ? undefined : problems);
}

function validateCost(): Cost {
  return ([format, text]) => {
    if (!(format instanceof NamedFormat)) throw new CelError("no such overload");
    return patternCost(sizeOf(text), format.patternSize);
  };
}

function optional(value: Value | undefined): Optional {
  return value === undefined ? Optional.none : new Optional(value);
}

function failing(isRight: (text: string) => boolean, message: string): Check {
  return (text) => (isRight(text) ? [] : [message]);
}

function isDate(text: string): boolean {
  const [, year = "", month = "", day = ""] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  return Number(day) >= 1 && Number(day) <= daysIn(Number(year), Number(month));
}

/** 0 for what is no month. */
function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  if (month < 1 || month > 12) return 0;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** What follows a second `t` is not looked at, as in strfmt.IsDateTime. */
function isDateTime(text: string): boolean {
  const [date = "", time = ""] = text.toLowerCase().split("t");
  const [, hours = "", minutes = "", seconds = ""] = TIME.exec(time) ?? [];
  return isDate(date) && hours !== "" && hours <= "23" && minutes <= "59" && seconds <= "59";
}
