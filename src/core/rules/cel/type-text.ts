import type { PrimitiveKind, Type } from "./types.ts";

export const DYN: Type = { kind: "dyn" };
/** The type of an expression that has a problem already; it goes with every other type, so that one mistake is told once. */
export const ERROR: Type = { kind: "dyn" };

const PRIMITIVES: ReadonlySet<string> = new Set<PrimitiveKind>([
  "dyn",
  "null",
  "bool",
  "int",
  "uint",
  "double",
  "string",
  "bytes",
  "timestamp",
  "duration",
]);

/** A type as cel-go prints it in messages: `list(string)`. */
export function typeText(type: Type): string {
  if (type === ERROR) return "!error!";
  if ("name" in type) return type.name;
  if (type.kind === "list") return `list(${typeText(type.element)})`;
  if (type.kind === "map") return `map(${typeText(type.key)}, ${typeText(type.value)})`;
  if (type.kind === "optional") return `optional_type(${typeText(type.of)})`;
  if (type.kind === "type") return `type(${typeText(type.of)})`;
  return type.kind;
}

/** Arguments as cel-go prints them: `string.(int, int)` for a method, `(int, int)` for a function. */
export function argumentsText(types: readonly Type[], member: boolean): string {
  const texts = types.map(typeText);
  const [target = "", ...rest] = texts;
  return member ? `${target}.(${rest.join(", ")})` : `(${texts.join(", ")})`;
}

/** The reverse of typeText, with single capital letters as parameters. For tables of signatures; throws on bad text. */
export function readType(text: string): Type {
  const open = text.indexOf("(");
  if (open < 0) return readName(text);
  const inner = splitArguments(text.slice(open + 1, -1)).map(readType);
  const [first, second] = inner;
  const name = text.slice(0, open);
  if (first !== undefined && name === "list") return { kind: "list", element: first };
  if (first !== undefined && name === "optional_type") return { kind: "optional", of: first };
  if (first !== undefined && name === "type") return { kind: "type", of: first };
  if (first !== undefined && second !== undefined && name === "map") return { kind: "map", key: first, value: second };
  throw new Error(`Cannot read the type ${text}: ${name} takes no types`);
}

function readName(name: string): Type {
  if (PRIMITIVES.has(name)) return { kind: name as PrimitiveKind };
  return /^[A-Z]$/.test(name) ? { kind: "parameter", name } : { kind: "opaque", name };
}

/** Splits at the commas that are in no bracket. */
export function splitArguments(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "(") depth++;
    if (text[index] === ")") depth--;
    if (text[index] !== "," || depth > 0) continue;
    parts.push(text.slice(start, index).trim());
    start = index + 1;
  }
  const last = text.slice(start).trim();
  return last === "" ? parts : [...parts, last];
}
