import type { Library } from "../cel/library.ts";
import { URL_UNITS } from "../cel/standard-cost.ts";
import { ExpressionMap } from "../cel/standard-maps.ts";
import type { Type } from "../cel/types.ts";
import { CelError, type Opaque, type Value } from "../cel/values.ts";
import { BOOL, type Cost, declare, method, opaque, plain, STRING, STRINGS, sizeOf } from "./define.ts";
import { escape, isEscaped, type Part, unescape } from "./url-escape.ts";
import { checkRequestUri, parseUrl, splitHost, textOf, type Url } from "./url-parse.ts";

const NAME = "kubernetes.URL";
const URL = opaque(NAME);
/** Each character is decoded, looked at several times and perhaps escaped again when a part is asked for. */
const parsing: Cost = ([text]) => URL_UNITS + sizeOf(text);
/** Kubernetes counts one unit for any part, which may have to be decoded, or escaped, as a whole. */
const reading: Cost = ([value]) => 1 + (value as UrlValue).units;
/** Parameters of the longest query that Go reads (net/url, defaultMaxParams). */
const PARAMETERS_MAX = 10_000;

class UrlValue implements Opaque {
  readonly opaque = NAME;
  readonly url: Url;
  /** Characters of the text that it was read from. */
  readonly #length: number;

  constructor(url: Url, length: number) {
    this.url = url;
    this.#length = length;
  }

  /** Units of writing it or a part of it, as of reading it. */
  get units(): number {
    return URL_UNITS + this.#length;
  }

  equals(other: Opaque): boolean {
    return other instanceof UrlValue && other.toString() === this.toString();
  }

  toString(): string {
    return textOf(urlText(this.url));
  }
}

/** apiserver/pkg/cel/library/urls.go. */
export const url: Library = {
  functions: [
    declare("url", plain({ id: "string_to_url", parameters: [STRING], result: URL, call: toUrl, cost: parsing })),
    // Kubernetes counts no more than the call.
    declare("isURL", plain({ id: "is_url_string", parameters: [STRING], result: BOOL, call: isUrl, cost: parsing })),
    getter("getScheme", "scheme", ({ scheme }) => scheme),
    getter("getHost", "host", ({ host }) => textOf(host)),
    getter("getHostname", "hostname", ({ host }) => textOf(splitHost(host)[0])),
    getter("getPort", "port", ({ host }) => splitHost(host)[1]),
    getter("getEscapedPath", "escaped_path", ({ path, rawPath }) => textOf(escaped(path, rawPath, "path"))),
    getter("getQuery", "query", ({ query }) => readQuery(query)),
  ],
};

function getter(name: string, id: string, get: (url: Url) => Value) {
  const call = (value: UrlValue) => get(value.url);
  const result: Type = name === "getQuery" ? { kind: "map", key: STRING, value: STRINGS } : STRING;
  return declare(name, method({ id: `url_get_${id}`, parameters: [URL], result, call, cost: reading }));
}

function toUrl(text: string): UrlValue {
  try {
    return new UrlValue(parseUrl(text), text.length);
  } catch (error) {
    throw new CelError(`URL parse error during conversion from string: ${(error as CelError).message}`);
  }
}

function isUrl(text: string): boolean {
  try {
    checkRequestUri(text);
    return true;
  } catch {
    return false;
  }
}

/** The part as it was written where that is a way to escape it, else escaped anew. */
function escaped(bare: string, raw: string, part: Part): string {
  if (raw !== "" && isEscaped(raw, part) && unescape(raw, part) === bare) return raw;
  return part === "path" && bare === "*" ? "*" : escape(bare, part);
}

function readQuery(query: string): ExpressionMap {
  const parameters = new Map<string, string[]>();
  const parts = query.split("&");
  // Go gives an empty map beyond the limit, and leaves out what it cannot read.
  for (const part of parts.length > PARAMETERS_MAX ? [] : parts) {
    const pair = part === "" || part.includes(";") ? undefined : readPair(part);
    if (pair === undefined) continue;
    const [name, value] = pair;
    const values = parameters.get(name);
    if (values === undefined) parameters.set(name, [value]);
    else values.push(value);
  }
  const map = new ExpressionMap();
  for (const [name, values] of parameters) map.set(name, values);
  return map;
}

function readPair(part: string): readonly [string, string] | undefined {
  const equals = part.indexOf("=");
  const [name, value] = equals < 0 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)];
  try {
    return [textOf(unescape(name, "query")), textOf(unescape(value, "query"))];
  } catch {
    return undefined;
  }
}

/** As URL.String of Go, by which two URLs are equal. */
function urlText(url: Url): string {
  const { scheme, query, fragment } = url;
  const start = scheme === "" ? "" : `${scheme}:`;
  const body = url.opaque === "" ? authorityText(url) + pathText(url, start) : url.opaque;
  const questions = url.forceQuery || query !== "" ? `?${query}` : "";
  return start + body + questions + (fragment === "" ? "" : `#${escaped(fragment, url.rawFragment, "fragment")}`);
}

function authorityText({ scheme, host, user, path, omitHost }: Url): string {
  if (scheme === "" && host === "" && user === undefined) return "";
  if (omitHost && host === "" && user === undefined) return "";
  const slashes = host !== "" || path !== "" || user !== undefined ? "//" : "";
  return slashes + userText(user) + escape(host, "host");
}

function userText(user: Url["user"]): string {
  if (user === undefined) return "";
  const password = user.password === undefined ? "" : `:${escape(user.password, "user")}`;
  return `${escape(user.name, "user")}${password}@`;
}

function pathText(url: Url, before: string): string {
  const path = escaped(url.path, url.rawPath, "path");
  if (path !== "" && !path.startsWith("/") && url.host !== "") return `/${path}`;
  const isAlone = before === "" && authorityText(url) === "";
  return isAlone && path.split("/")[0]?.includes(":") ? `./${path}` : path;
}

/** What Go says is wrong with a text as a URI, undefined if nothing is. */
export function uriProblem(text: string): string | undefined {
  try {
    checkRequestUri(text);
    return undefined;
  } catch (error) {
    return (error as CelError).message;
  }
}
