import { CelError } from "../cel/values.ts";
import { decodeUtf8, goQuote } from "./go-text.ts";

/** The parts of a URL, each with its own characters that need no escape (Go's net/url encoding modes). */
export type Part = "path" | "host" | "zone" | "user" | "query" | "fragment";

const HOST = /[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]/;
const ALLOWED: Readonly<Record<Part, RegExp>> = {
  path: /[A-Za-z0-9\-_.~$&+,/:;=@]/,
  host: HOST,
  zone: HOST,
  user: /[A-Za-z0-9\-_.~$&+,;=]/,
  query: /[A-Za-z0-9\-_.~]/,
  fragment: /[A-Za-z0-9\-_.~$&+,/:;=?@!()*]/,
};

/** Percent signs for what may not stand in that part. Both texts are bytes. */
export function escape(bytes: string, part: Part): string {
  return bytes.replace(/[^]/g, (byte) =>
    ALLOWED[part].test(byte) ? byte : `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** Whether every byte may stand there as it is, escapes and brackets included (validEncoded). */
export function isEscaped(bytes: string, part: Part): boolean {
  return Array.from(bytes).every((byte) => /[!$&'()*+,;=:@[\]%]/.test(byte) || ALLOWED[part].test(byte));
}

/** The bytes without percent signs. Throws a CelError with Go's message. */
export function unescape(bytes: string, part: Part): string {
  const isHost = part === "host" || part === "zone";
  return bytes.replace(/%[^]?[^]?|[^]/g, (found) => {
    if (found.startsWith("%")) return String.fromCharCode(escapedByte(found, part));
    if (found === "+" && part === "query") return " ";
    if (isHost && found < "\x80" && !ALLOWED[part].test(found)) {
      throw new CelError(`invalid character ${goQuote(found)} in host name`);
    }
    return found;
  });
}

function escapedByte(found: string, part: Part): number {
  const refusal = () => new CelError(`invalid URL escape ${quoteBytes(found)}`);
  if (!/^%[0-9a-fA-F]{2}$/.test(found)) throw refusal();
  const byte = Number.parseInt(found.slice(1), 16);
  // A host may escape only what is not ASCII, and the percent sign before a zone.
  if (part === "host" && byte < 0x80 && found !== "%25") throw refusal();
  const mayStand = found === "%25" || byte === 0x20 || ALLOWED.host.test(String.fromCharCode(byte));
  if (part === "zone" && !mayStand) throw refusal();
  return byte;
}

/** As strconv.Quote: bytes that are no UTF-8, as of a character that was cut, are shown as `\xc3`. */
function quoteBytes(bytes: string): string {
  let quoted = "";
  for (const [whole] of bytes.matchAll(/[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[^]/g)) {
    const isLost = whole.length === 1 && whole >= "\x80";
    const codes = Uint8Array.from(whole, (byte) => byte.charCodeAt(0));
    quoted += isLost ? `\\x${(codes[0] ?? 0).toString(16)}` : goQuote(decodeUtf8(codes)).slice(1, -1);
  }
  return `"${quoted}"`;
}
