import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { isMap, isScalar, LineCounter, parseAllDocuments, type ScalarTag, type Tags, type Document } from "yaml";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { UsageError } from "../usage-error.ts";
import { placeOf, type Segment } from "./place.ts";

/** One object of the input and where it stands. */
export interface InputObject {
  readonly object: KubernetesObject;
  readonly file: string;
  /** Where the object begins, from 1. */
  readonly line: number;
  /** Line of a field, by a path as findings have it; of the nearest one around it where the field is not there. */
  readonly lineOf: (path: string) => number;
}

export interface InputOptions {
  /** Files, directories, or `-` for standard input. */
  readonly filenames: readonly string[];
  readonly recursive: boolean;
  /** What relative paths are relative to. */
  readonly baseDirectory: string;
}

const EXTENSIONS = [".yaml", ".yml", ".json"];

/** Reads files, directories and standard input as `kubectl apply -f` does; throws a UsageError for what it would not take. */
export function readInput(options: InputOptions): readonly InputObject[] {
  const objects = options.filenames.flatMap((name) => filesOf(name, options)).flatMap(objectsOf);
  if (objects.length === 0)
    throw new UsageError(`No object found in ${options.filenames.join(", ")}; give at least one Kubernetes object`);
  return objects;
}

interface SourceFile {
  readonly name: string;
  readonly bytes: Buffer;
}

function filesOf(name: string, options: InputOptions): readonly SourceFile[] {
  if (name === "-") return [{ name: "<stdin>", bytes: reading("<stdin>", () => readFileSync(0)) }];
  const path = resolve(options.baseDirectory, name);
  const isDirectory = reading(name, () => statSync(path)).isDirectory();
  if (!isDirectory) return [{ name, bytes: reading(name, () => readFileSync(path)) }];
  return (
    reading(name, () => readdirSync(path, { recursive: options.recursive, withFileTypes: true }))
      .filter((entry) => EXTENSIONS.some((extension) => entry.name.endsWith(extension)))
      .map((entry) => join(entry.parentPath, entry.name))
      // A link counts as the file that it leads to: a mounted ConfigMap holds nothing else.
      .filter((file) => reading(file, () => statSync(file)).isFile())
      .sort()
      .map((file) => ({
        name: join(name, file.slice(path.length + 1)),
        bytes: reading(file, () => readFileSync(file)),
      }))
  );
}

function reading<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`Cannot read ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Booleans and integers that kubectl's parser (YAML 1.1) knows and YAML 1.2 takes as text; found by trying kubectl. */
const OUR_TAGS: Tags = [
  yaml11("bool", /^(?:y|Y|yes|Yes|YES|on|On|ON)$/, () => true),
  yaml11("bool", /^(?:n|N|no|No|NO|off|Off|OFF)$/, () => false),
  yaml11("int", /^[-+]?[0-9]+_[0-9_]*$/, (text) => Number(text.replaceAll("_", ""))),
  yaml11("int", /^[-+]?0[0-7]+$/, (text) => Number.parseInt(text, 8)),
  // Not of YAML 1.1: what a number cannot hold reaches rules exactly, as it does in the webhook.
  yaml11("int", /^[-+]?[1-9][0-9]{15,}$/, exactInteger),
];

/** Beyond 64 bits it is a double, as in the API server's decoder. */
function exactInteger(text: string): number | bigint {
  const [rounded, exact] = [Number(text), BigInt(text)];
  return Number.isSafeInteger(rounded) || BigInt.asIntN(64, exact) !== exact ? rounded : exact;
}

function yaml11(type: "bool" | "int", test: RegExp, resolve: (text: string) => unknown): ScalarTag {
  return { tag: `tag:yaml.org,2002:${type}`, default: true, identify: () => false, resolve, test };
}

function withOurTags(tags: Tags): Tags {
  return [...OUR_TAGS, ...tags];
}

function objectsOf(file: SourceFile): readonly InputObject[] {
  const lines = new LineCounter();
  // Merge keys are of YAML 1.1 too.
  const documents = parseAllDocuments(textOf(file), { lineCounter: lines, merge: true, customTags: withOurTags });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const at = (offset: number): string => `${file.name}:${lines.linePos(offset).line}`;
    const [problem] = document.errors;
    if (problem) throw new UsageError(`${at(problem.pos[0])}: ${withoutPlace(problem.message)}`);
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) return [];
    const start = document.contents.range[0];
    const value = converted(document, at(start));
    return unwrapped({ value, below: [], at: at(start) }).map(({ object, below }) => {
      const lineOf = (path: string): number => lines.linePos(placeOf(document, below, path).offset).line;
      return { object, file: file.name, line: lineOf(""), lineOf };
    });
  });
}

/** The parser says the place again, and shows the text around it on the lines after. */
function withoutPlace(message: string): string {
  return message.replace(/(?: at line \d+, column \d+)?:?\n[\s\S]*$/, "");
}

function textOf({ name, bytes }: SourceFile): string {
  const isText = (part: Buffer): boolean => !part.includes(0) && isUtf8(part);
  if (isText(bytes)) return new TextDecoder().decode(bytes);
  const lines = bytes.toString("latin1").split("\n");
  const line = lines.findIndex((text) => !isText(Buffer.from(text, "latin1"))) + 1;
  throw new UsageError(`${name}:${line}: Not a text file; YAML or JSON in UTF-8 is wanted`);
}

function converted(document: Document.Parsed, at: string): unknown {
  // Only a scalar is converted for the message: in a list there may be more aliases than the parser expands.
  if (!isMap(document.contents)) {
    const found = isScalar(document.contents) ? kindOfValue(document.contents.value) : "a list";
    throw new UsageError(`${at}: Found ${found}, wanted a Kubernetes object`);
  }
  try {
    return document.toJS();
  } catch (error) {
    throw new UsageError(`${at}: ${(error as Error).message}`, { cause: error });
  }
}

interface Wrapped {
  readonly value: unknown;
  /** Where in the document it stands. */
  readonly below: readonly Segment[];
  readonly at: string;
}

interface Unwrapped {
  readonly object: KubernetesObject;
  readonly below: readonly Segment[];
}

function unwrapped({ value, below, at }: Wrapped): readonly Unwrapped[] {
  const object = checkedObject(value, at);
  const isList = object.kind === "List" && object.apiVersion === "v1";
  const items = (object as { readonly items?: unknown }).items ?? (isList ? [] : undefined);
  if (!object.kind?.endsWith("List") || !Array.isArray(items)) return [{ object, below }];
  return items.flatMap((item, index) => unwrapped({ value: item, below: [...below, "items", index], at }));
}

/**
 * A value as a Kubernetes object; throws a UsageError where the API server would refuse it before any webhook is asked.
 * To it a null name is none. `at` is its file and line.
 */
export function checkedObject(value: unknown, at: string): KubernetesObject {
  if (!isRecord(value)) throw new UsageError(`${at}: Found ${kindOfValue(value)}, wanted a Kubernetes object`);
  for (const field of ["apiVersion", "kind"]) {
    if (typeof value[field] !== "string" || value[field] === "")
      throw new UsageError(`${at}: Field ${field} is missing or not a string`);
  }
  const metadata = value["metadata"] ?? {};
  if (!isRecord(metadata)) throw new UsageError(`${at}: Found ${kindOfValue(metadata)} as metadata, wanted a map`);
  for (const field of ["name", "namespace", "generateName"]) {
    const found = metadata[field];
    if (found === null) delete metadata[field];
    else if (found !== undefined && typeof found !== "string")
      throw new UsageError(`${at}: Found ${kindOfValue(found)} as metadata.${field}, wanted a string`);
  }
  for (const field of ["annotations", "labels"]) checkStringMap(metadata[field], `metadata.${field}`, at);
  return value;
}

function checkStringMap(map: unknown, path: string, at: string): void {
  if (map === undefined || map === null) return;
  if (!isRecord(map)) throw new UsageError(`${at}: Found ${kindOfValue(map)} as ${path}, wanted a map`);
  for (const [key, value] of Object.entries(map)) {
    if (typeof value === "string") continue;
    const hint = typeof value === "object" ? "" : `; write "${JSON.stringify(value)}" in quotes`;
    throw new UsageError(`${at}: Found ${kindOfValue(value)} as ${path}["${key}"], wanted a string${hint}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOfValue(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  return `the ${typeof value} ${JSON.stringify(value)}`;
}
