import type { Expression } from "./ast.ts";
import type { Checked } from "./check.ts";
import type { Type } from "./types.ts";

type Types = Checked["types"];
interface Fault {
  readonly node: Expression;
  readonly message: string;
}

interface Clause {
  readonly kinds: readonly Type["kind"][];
  readonly refusal: string;
}

const DECIMAL: Clause = { kinds: ["int", "uint"], refusal: "decimal clause can only be used on integers" };
const OCTAL: Clause = { kinds: ["int", "uint"], refusal: "octal clause can only be used on integers" };
const HEX: Clause = {
  kinds: ["int", "uint", "string", "bytes"],
  refusal: "only integers, byte buffers, and strings can be formatted as hex",
};
/** What each letter after a percent sign takes; `s` is apart. */
const CLAUSES: ReadonlyMap<string, Clause> = new Map([
  ["d", DECIMAL],
  ["o", OCTAL],
  ["x", HEX],
  ["X", HEX],
  ["b", { kinds: ["int", "uint", "bool"], refusal: "only integers and bools can be formatted as binary" }],
  // Strings, because "NaN" and "Infinity" are numbers here.
  ["f", { kinds: ["double", "string"], refusal: "fixed-point clause can only be used on doubles" }],
  ["e", { kinds: ["double", "string"], refusal: "scientific clause can only be used on doubles" }],
]);

const STRING_KINDS: ReadonlySet<Type["kind"]> = new Set<Type["kind"]>([
  ...(["list", "map", "int", "uint", "double", "bool", "string"] as const),
  ...(["timestamp", "bytes", "duration", "type", "null"] as const),
]);
const STRING_REFUSAL =
  "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";

/** What is wrong with `"text".format([...])`, when both are literals; messages of cel-go's strings extension. */
export function formatCallProblem(
  node: Expression & { readonly kind: "call" },
  { types }: { readonly types: Types },
): Fault | undefined {
  const { target } = node;
  const [list] = node.arguments;
  if (node.name !== "format" || target?.kind !== "literal" || typeof target.value !== "string") return undefined;
  if (list?.kind !== "list" || node.arguments.length !== 1) return undefined;
  const values = list.elements.map(({ value }) => value);
  const clauses = readClauses(target.value, values.length);
  for (const [index, letter] of clauses.letters.entries()) {
    const value = values[index];
    const fault = value === undefined ? undefined : clauseFault(letter, value, types);
    if (fault !== undefined) return { ...fault, message: `error during formatting: ${fault.message}` };
  }
  if (clauses.fault !== undefined) return { node, message: clauses.fault };
  const { length } = clauses.letters;
  if (values.length <= length) return undefined;
  return {
    node,
    message: `too many arguments supplied to string.format (expected ${length}, got ${values.length})`,
  };
}

/** The letters of the clauses up to the first fault. */
function readClauses(text: string, count: number): { readonly letters: readonly string[]; readonly fault?: string } {
  const letters: string[] = [];
  for (const match of text.matchAll(/%(?:%|(?:\.(\d*))?(.?))/gsu)) {
    const [whole, precision, letter = ""] = match;
    if (whole === "%%") continue;
    if (whole === "%") return { letters, fault: "unexpected end of string" };
    if (letters.length >= count) return { letters, fault: `index ${letters.length} out of range` };
    const fault = clauseTextFault(precision, letter);
    if (fault !== undefined) return { letters, fault: `could not parse formatting clause: ${fault}` };
    letters.push(letter);
  }
  return { letters };
}

function clauseTextFault(precision: string | undefined, letter: string): string | undefined {
  if (precision !== undefined && letter === "")
    return "error while parsing precision: could not find end of precision specifier";
  if (precision === "")
    return 'error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax';
  if (letter === "s" || CLAUSES.has(letter)) return undefined;
  return `unrecognized formatting clause "${letter}"`;
}

function clauseFault(letter: string, value: Expression, types: Types): Fault | undefined {
  if (letter === "s") return stringFault(value, types);
  const clause = CLAUSES.get(letter);
  const type = types.get(value);
  if (clause === undefined || type === undefined || type.kind === "dyn" || clause.kinds.includes(type.kind))
    return undefined;
  return { node: value, message: `${clause.refusal}, was given ${runtimeName(type)}` };
}

/** `%s` takes lists and maps, if it takes what is in them. */
function stringFault(value: Expression, types: Types): Fault | undefined {
  const type = types.get(value);
  if (type !== undefined && type.kind !== "dyn" && !STRING_KINDS.has(type.kind))
    return { node: value, message: `${STRING_REFUSAL}, was given ${runtimeName(type)}` };
  const parts =
    value.kind === "list"
      ? value.elements.map((element) => element.value)
      : value.kind === "map"
        ? value.entries.flatMap((entry) => [entry.key, entry.value])
        : [];
  return parts.map((part) => stringFault(part, types)).find((fault) => fault !== undefined);
}

const RUNTIME_NAMES: ReadonlyMap<string, string> = new Map([
  ["null", "null_type"],
  ["timestamp", "google.protobuf.Timestamp"],
  ["duration", "google.protobuf.Duration"],
  ["optional", "optional_type"],
]);

/** The name of a type without what is in it, as values carry it. */
function runtimeName(type: Type): string {
  return "name" in type ? type.name : (RUNTIME_NAMES.get(type.kind) ?? type.kind);
}
