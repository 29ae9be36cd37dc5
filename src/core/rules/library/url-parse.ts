import { encodeUtf8 } from "../cel/parser-literals.ts";
import { CelError } from "../cel/values.ts";
import { parseAddress } from "./address.ts";
import { decodeUtf8, goQuote } from "./go-text.ts";
import { escape, type Part, unescape } from "./url-escape.ts";

/**
 * A URL as Go's net/url parses it. All texts are bytes, one character each, as percent signs may stand for bytes that
 * are no UTF-8; {@link textOf} makes text of them.
 */
export interface Url {
  readonly scheme: string;
  readonly opaque: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  readonly host: string;
  readonly path: string;
  /** The path as it was written, if escaping the path anew gives something else. */
  readonly rawPath: string;
  readonly query: string;
  readonly forceQuery: boolean;
  readonly omitHost: boolean;
  readonly fragment: string;
  readonly rawFragment: string;
}

function bytesOf(text: string): string {
  let bytes = "";
  for (const byte of encodeUtf8(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

export function textOf(bytes: string): string {
  return decodeUtf8(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
}

/** As url.ParseRequestURI: absolute, and a `#` has no meaning. Throws a CelError with Go's message. */
export function checkRequestUri(text: string): void {
  try {
    parse(bytesOf(text), true);
  } catch (error) {
    throw parseError(text, error);
  }
}

/** As url.Parse after url.ParseRequestURI. Throws a CelError with Go's message. */
export function parseUrl(text: string): Url {
  checkRequestUri(text);
  const bytes = bytesOf(text);
  const [before, fragment] = cut(bytes, "#");
  try {
    const url = parse(before, false);
    return { ...url, ...escapable(fragment ?? "", "fragment", ["fragment", "rawFragment"]) };
  } catch (error) {
    throw parseError(text, error);
  }
}

function parseError(text: string, error: unknown): CelError {
  return new CelError(`parse ${goQuote(text)}: ${(error as CelError).message}`);
}

function cut(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

const NOTHING: Url = {
  scheme: "",
  opaque: "",
  user: undefined,
  host: "",
  path: "",
  rawPath: "",
  query: "",
  forceQuery: false,
  omitHost: false,
  fragment: "",
  rawFragment: "",
};

function parse(raw: string, isRequest: boolean): Url {
  if (/[^ -~\x80-\xff]/.test(raw)) throw new CelError("net/url: invalid control character in URL");
  if (raw === "" && isRequest) throw new CelError("empty url");
  if (raw === "*") return { ...NOTHING, path: "*" };
  const [scheme, afterScheme] = readScheme(raw);
  const forceQuery = afterScheme.indexOf("?") === afterScheme.length - 1 && afterScheme !== "";
  const [rest, query = ""] = cut(afterScheme, "?");
  const start = { ...NOTHING, scheme, query, forceQuery };
  if (!rest.startsWith("/")) {
    if (scheme !== "") return { ...start, opaque: rest };
    if (isRequest) throw new CelError("invalid URI for request");
    if (cut(rest, "/")[0].includes(":")) throw new CelError("first path segment in URL cannot contain colon");
  }
  const hasAuthority = rest.startsWith("//") && (scheme !== "" || (!isRequest && !rest.startsWith("///")));
  if (!hasAuthority) {
    return {
      ...start,
      omitHost: scheme !== "" && rest.startsWith("/"),
      ...escapable(rest, "path", ["path", "rawPath"]),
    };
  }
  const slash = rest.indexOf("/", 2);
  const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
  const path = slash < 0 ? "" : rest.slice(slash);
  return { ...start, ...parseAuthority(scheme, authority), ...escapable(path, "path", ["path", "rawPath"]) };
}

function readScheme(raw: string): readonly [string, string] {
  if (raw.startsWith(":")) throw new CelError("missing protocol scheme");
  const [, scheme, rest = ""] = /^([a-zA-Z][a-zA-Z0-9+.-]*):(.*)$/s.exec(raw) ?? [];
  return scheme === undefined ? ["", raw] : [scheme.toLowerCase(), rest];
}

/** The text without escapes, and as it was written where that is not how it would be escaped. */
function escapable<K extends string>(text: string, part: Part, [plain, raw]: readonly [K, K]): Record<K, string> {
  const bare = unescape(text, part);
  return { [plain]: bare, [raw]: escape(bare, part) === text ? "" : text } as Record<K, string>;
}

function parseAuthority(scheme: string, authority: string): Pick<Url, "user" | "host"> {
  const at = authority.lastIndexOf("@");
  const host = parseHost(scheme, authority.slice(at + 1));
  if (at < 0) return { user: undefined, host };
  const info = authority.slice(0, at);
  if (/[^A-Za-z0-9\-._:~!$&'()*+,;=%@]/.test(info)) throw new CelError("net/url: invalid userinfo");
  const [name, password] = cut(info, ":");
  return {
    user: {
      name: unescape(name, "user"),
      password: password === undefined ? undefined : unescape(password, "user"),
    },
    host,
  };
}

function parseHost(scheme: string, host: string): string {
  const open = host.lastIndexOf("[");
  if (open > 0) throw new CelError("invalid IP-literal");
  if (open === 0) return parseIpLiteral(host);
  const first = host.indexOf(":");
  if (first >= 0) {
    // Databases have lists of hosts with ports; a URL of the web has one colon.
    const isWeb = scheme === "http" || scheme === "https";
    checkPort(host.slice(isWeb ? first : host.lastIndexOf(":")));
  }
  return unescape(host, "host");
}

function checkPort(port: string): void {
  if (port !== "" && !/^:[0-9]*$/.test(port)) throw new CelError(`invalid port ${goQuote(textOf(port))} after host`);
}

/** `[::1]:80` */
function parseIpLiteral(host: string): string {
  const close = host.lastIndexOf("]");
  if (close < 0) throw new CelError("missing ']' in host");
  const port = host.slice(close + 1);
  checkPort(port);
  const name = host.slice(1, close);
  const zone = name.indexOf("%25");
  const bare =
    zone < 0 ? unescape(name, "host") : unescape(name.slice(0, zone), "host") + unescape(name.slice(zone), "zone");
  if (addressBits(bare) === 32) throw new CelError("invalid IP-literal");
  return `[${bare}]${port}`;
}

function addressBits(text: string): number {
  try {
    return parseAddress(textOf(text)).bits;
  } catch (error) {
    throw new CelError(`invalid host: ${(error as CelError).message}`);
  }
}

/** The name of the host without brackets, and its port. */
export function splitHost(host: string): readonly [string, string] {
  const colon = host.lastIndexOf(":");
  const hasPort = colon >= 0 && /^:[0-9]*$/.test(host.slice(colon));
  const name = hasPort ? host.slice(0, colon) : host;
  return [/^\[.*\]$/s.test(name) ? name.slice(1, -1) : name, hasPort ? host.slice(colon + 1) : ""];
}
