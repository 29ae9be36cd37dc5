import { Buffer } from "node:buffer";
import type { AdmissionRequest, Operation, Phase } from "../core/admission/review.ts";

/** What a body turned out to be; `uid` is there whenever it could be read, so that it can be echoed. */
export type Decoded =
  | {
      readonly ok: true;
      readonly request: AdmissionRequest;
      readonly user: string | undefined;
      readonly dryRun: boolean;
    }
  | { readonly ok: false; readonly uid: string | undefined; readonly message: string };

type JsonRecord = Record<string, unknown>;

export const REVIEW_API_VERSION = "admission.k8s.io/v1";
export const REVIEW_KIND = "AdmissionReview";

/**
 * Deeper bodies are refused before they are parsed. kube-apiserver itself stops at 10,000 levels (sigs.k8s.io/json);
 * the kinds we serve have schemas of some 20 levels; recursion of ours over 4,000 levels still fits Node's stack.
 */
export const NESTING_MAX_LEVELS = 4_000;
/** Each level costs two bytes, so a shorter body cannot nest too deep and is not scanned. */
const NESTING_SCAN_MIN_BYTES = 2 * NESTING_MAX_LEVELS;
/** The API server sends a UUID of 36 characters; a longer uid is not echoed. */
const UID_MAX_LENGTH = 128;
/** Bounds a log line; names in Kubernetes end at 253 characters. */
const NAME_MAX_LENGTH = 1_024;
const SHOWN_KEY_MAX_LENGTH = 80;

const OPERATIONS: ReadonlySet<unknown> = new Set<Operation>(["CREATE", "UPDATE", "DELETE", "CONNECT"]);
const FIX = "send the AdmissionReview as kube-apiserver builds it";

/**
 * Reads an AdmissionReview of `admission.k8s.io/v1`. Never throws. What it lets through keeps these promises to the
 * core: objects are records with a `metadata` record; `labels` and `annotations` are absent or maps of strings;
 * the names in `metadata` are strings; `ownerReferences` is a list of records; no `__proto__` key anywhere.
 * Nothing is promised of `spec`. Integers beyond 2^53 are rounded, which no field that mesh and policies read
 * holds; for rules, which can read any field, they are bigints.
 */
export function decodeReview(body: Buffer, phase: Phase, nowMs: number): Decoded {
  if (nestsTooDeep(body)) {
    return refused(undefined, `found more than ${NESTING_MAX_LEVELS} levels of nesting, wanted fewer`);
  }
  const parsed = parseJson(body, phase);
  if (parsed === undefined) {
    // V8's own message quotes the body, so it is not passed on.
    return refused(undefined, `found ${body.length} bytes that are not JSON, wanted one AdmissionReview`);
  }
  const review = parsed.value;
  if (!isRecord(review)) return refused(undefined, wanted("the body", review, "an object"));
  const request = review["request"];
  const uid = isRecord(request) ? readUid(request["uid"]) : undefined;
  if (review["apiVersion"] !== REVIEW_API_VERSION || review["kind"] !== REVIEW_KIND) {
    const found = `${shown(review["apiVersion"])}, ${shown(review["kind"])}`;
    return refused(uid, `found apiVersion and kind ${found}, wanted ${REVIEW_API_VERSION}, ${REVIEW_KIND}`);
  }
  if (!isRecord(request)) return refused(uid, wanted("request", request, "an object"));
  if (uid === undefined) {
    return refused(uid, wanted("request.uid", request["uid"], `a string of 1 to ${UID_MAX_LENGTH} characters`));
  }
  return readRequest(request, uid, { phase, nowMs });
}

function readRequest(request: JsonRecord, uid: string, asked: Pick<AdmissionRequest, "phase" | "nowMs">): Decoded {
  const { kind, operation, namespace = "", name = "" } = request;
  if (!isRecord(kind)) return refused(uid, wanted("request.kind", kind, "an object"));
  const { group = "", kind: kindName } = kind;
  if (!isName(kindName)) return refused(uid, wanted("request.kind.kind", kindName, "a name"));
  if (!isName(group)) return refused(uid, wanted("request.kind.group", group, "a name"));
  if (!isName(namespace)) return refused(uid, wanted("request.namespace", namespace, "a name"));
  if (!isName(name)) return refused(uid, wanted("request.name", name, "a name"));
  if (!isOperation(operation)) {
    return refused(uid, `found request.operation ${shown(operation)}, wanted ${[...OPERATIONS].join(", ")}`);
  }
  const object = request["object"] ?? undefined;
  const oldObject = request["oldObject"] ?? undefined;
  // To pass over a write that cannot be seen would be an error taken for "no match".
  if (object === undefined && (operation === "CREATE" || operation === "UPDATE")) {
    return refused(uid, wanted("request.object", object, `an object for ${operation}`));
  }
  const problem = objectProblem(object, "request.object") ?? objectProblem(oldObject, "request.oldObject");
  if (problem !== undefined) return refused(uid, problem);
  const userInfo = request["userInfo"];
  const username = isRecord(userInfo) ? userInfo["username"] : undefined;
  return {
    ok: true,
    // Only told in the log, so nothing is refused for it.
    user: isName(username) ? username : undefined,
    dryRun: request["dryRun"] === true,
    request: {
      ...asked,
      uid,
      kind: { group, kind: kindName },
      operation,
      namespace,
      name,
      object,
      oldObject,
      attributes: request,
    },
  };
}

const OBJECT_STRINGS = ["apiVersion", "kind"] as const;
const METADATA_STRINGS = [
  "name",
  "generateName",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
] as const;
const METADATA_MAPS = ["labels", "annotations"] as const;

/** Checks what the core relies on; a null is made absent in place, as Go reads it. */
function objectProblem(object: unknown, path: string): string | undefined {
  if (object === undefined) return undefined;
  if (!isRecord(object)) return wanted(path, object, "an object or null");
  const metadata = object["metadata"];
  if (!isRecord(metadata)) return wanted(`${path}.metadata`, metadata, "an object");
  return (
    stringsProblem(object, OBJECT_STRINGS, path) ??
    stringsProblem(metadata, METADATA_STRINGS, `${path}.metadata`) ??
    mapsProblem(metadata, `${path}.metadata`) ??
    ownersProblem(metadata, `${path}.metadata.ownerReferences`)
  );
}

function stringsProblem(record: JsonRecord, fields: readonly string[], path: string): string | undefined {
  for (const field of fields) {
    const value = record[field];
    if (value === undefined || typeof value === "string") continue;
    if (value !== null) return wanted(`${path}.${field}`, value, "a string");
    delete record[field];
  }
  return undefined;
}

function mapsProblem(metadata: JsonRecord, path: string): string | undefined {
  for (const field of METADATA_MAPS) {
    const map = metadata[field];
    if (map === undefined) continue;
    if (map === null) {
      delete metadata[field];
      continue;
    }
    if (!isRecord(map)) return wanted(`${path}.${field}`, map, "a map of strings");
    for (const key in map) {
      if (typeof map[key] !== "string") {
        return wanted(`${path}.${field}[${JSON.stringify(key.slice(0, SHOWN_KEY_MAX_LENGTH))}]`, map[key], "a string");
      }
    }
  }
  return undefined;
}

function ownersProblem(metadata: JsonRecord, path: string): string | undefined {
  const owners = metadata["ownerReferences"];
  if (owners === undefined) return undefined;
  if (owners === null) {
    delete metadata["ownerReferences"];
    return undefined;
  }
  if (!Array.isArray(owners)) return wanted(path, owners, "a list of objects");
  const bad: unknown = owners.find((owner) => !isRecord(owner));
  return bad === undefined ? undefined : wanted(`${path}[]`, bad, "an object");
}

function parseJson(body: Buffer, phase: Phase): { readonly value: unknown } | undefined {
  const text = body.toString("utf8");
  const isForRules = phase === "rules-fail" || phase === "rules-ignore";
  let value: unknown;
  try {
    value = isForRules && hasLongNumber(body) ? JSON.parse(text, exactInteger) : JSON.parse(text);
  } catch {
    return undefined;
  }
  // The letters of `__proto__` may be written as \u005f, \u0070 and so on. Go itself escapes only <, > and & (\u003c,
  // \u003e, \u0026), so that real reviews stay on the fast path. They are full of backslashes, which are not looked for.
  if (text.includes("__proto__") || /u00[567]/.test(text)) stripPrototypeKeys(value);
  return { value };
}

/** Integers of fewer digits are exact as they are. */
const LONG_NUMBER_DIGITS = 16;

/** One byte in {@link LONG_NUMBER_DIGITS} is looked at: so many in a row have one there. A find in a string costs time only. */
function hasLongNumber(body: Buffer): boolean {
  for (let index = LONG_NUMBER_DIGITS - 1; index < body.length; index += LONG_NUMBER_DIGITS) {
    if (!isDigit(body[index])) continue;
    let start = index;
    while (isDigit(body[start - 1])) start -= 1;
    let end = index + 1;
    while (isDigit(body[end])) end += 1;
    if (end - start >= LONG_NUMBER_DIGITS) return true;
  }
  return false;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** The ends of an int; an integer beyond them is a double, as in the API server's decoder. */
const INT_MAX = 2n ** 63n - 1n;
const INT_MIN = -(2n ** 63n);

function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source ?? "";
  if (typeof value !== "number" || Number.isSafeInteger(value) || !/^-?[0-9]+$/.test(source)) return value;
  const exact = BigInt(source);
  return exact >= INT_MIN && exact <= INT_MAX ? exact : value;
}

/**
 * JSON.parse makes `__proto__` an ordinary own key, which turns into a prototype when it is copied by assignment
 * later. No field of Kubernetes has this name and no map may (a key begins with a letter or digit), so it is dropped.
 */
function stripPrototypeKeys(root: unknown): void {
  const pending: unknown[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== "object" || value === null) continue;
    if (Object.hasOwn(value, "__proto__")) Reflect.deleteProperty(value, "__proto__");
    for (const child of Object.values(value)) {
      if (typeof child === "object" && child !== null) pending.push(child);
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{` differ in this bit only, as do `]` and `}`. */
const BRACE_BIT = 0x20;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Stops at the level that is one too many, so that a bomb costs no memory; one pass, larger bodies only. */
function nestsTooDeep(body: Buffer): boolean {
  if (body.length < NESTING_SCAN_MIN_BYTES) return false;
  let depth = 0;
  for (let index = 0; index < body.length; index += 1) {
    const byte = body[index] as number;
    if (byte === QUOTE) {
      index = stringEnd(body, index + 1);
    } else if ((byte | BRACE_BIT) === OPEN_BRACE) {
      depth += 1;
      if (depth > NESTING_MAX_LEVELS) return true;
    } else if ((byte | BRACE_BIT) === CLOSE_BRACE) {
      depth -= 1;
    }
  }
  return false;
}

/** After so many plain bytes the end of a string is searched for, which is fast but dear to begin. */
const PLAIN_BYTES = 64;

/** Where the string that starts there has its closing quote; the end of the body if it has none. */
function stringEnd(body: Buffer, start: number): number {
  let index = start;
  while (index < body.length) {
    const near = Math.min(body.length, index + PLAIN_BYTES);
    for (; index < near; index += 1) {
      const byte = body[index];
      if (byte === QUOTE) return index;
      if (byte === BACKSLASH) index += 1;
    }
    // A character begins at `index`, so that backslashes before it have been seen.
    const quote = body.indexOf(QUOTE, index);
    if (quote < 0) break;
    let slash = quote;
    while (slash > index && body[slash - 1] === BACKSLASH) slash -= 1;
    if ((quote - slash) % 2 === 0) return quote;
    index = quote + 1;
  }
  return body.length;
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length <= NAME_MAX_LENGTH;
}

function isOperation(value: unknown): value is Operation {
  return OPERATIONS.has(value);
}

function readUid(value: unknown): string | undefined {
  return typeof value === "string" && value.length > 0 && value.length <= UID_MAX_LENGTH ? value : undefined;
}

/** A short string is shown as it is; of everything else only the type, so that no contents are echoed. */
function shown(value: unknown): string {
  return typeof value === "string" && value.length <= SHOWN_KEY_MAX_LENGTH ? JSON.stringify(value) : typeName(value);
}

function typeName(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function wanted(path: string, found: unknown, want: string): string {
  const length = typeof found === "string" ? ` of ${found.length} characters` : "";
  return `found ${typeName(found)}${length} at ${path}, wanted ${want}`;
}

function refused(uid: string | undefined, problem: string): Decoded {
  return { ok: false, uid, message: `Cannot read the AdmissionReview: ${problem}; ${FIX}` };
}
