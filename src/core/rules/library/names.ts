import { utf8Length } from "../../text.ts";

/** Rules for names with Kubernetes' messages (apimachinery, pkg/util/validation and pkg/api/validate/content). */

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_MAX = 63;
const SUBDOMAIN_MAX = 253;

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', " +
  "and must start and end with an alphanumeric character";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " +
  "and must start and end with an alphanumeric character";
const LABEL_1035_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', " +
  "start with an alphabetic character, and end with an alphanumeric character";
const KEY_TEXT =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** Messages about a text; none when it is right. */
export type Check = (text: string) => readonly string[];

function isMatch(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern}$`).test(text);
}

function regexText(message: string, pattern: string, examples: readonly string[]): string {
  const list = examples.map((example) => `'${example}', `).join(" or ");
  return `${message} (e.g. ${list}regex used for validation is '${pattern}')`;
}

/** Kubernetes' older checks speak of characters, the newer of bytes; both count bytes. */
function tooLong(text: string, max: number, unit: "characters" | "bytes"): readonly string[] {
  return utf8Length(text) > max ? [`must be no more than ${max} ${unit}`] : [];
}

export function dns1123Label(text: string): readonly string[] {
  const problems = [...tooLong(text, LABEL_MAX, "characters")];
  if (isMatch(LABEL, text)) return problems;
  const hasDots = isMatch(SUBDOMAIN, text);
  return [...problems, hasDots ? "must not contain dots" : regexText(LABEL_TEXT, LABEL, ["my-name", "123-abc"])];
}

export function dns1123Subdomain(text: string): readonly string[] {
  return subdomain(text, "characters");
}

function subdomain(text: string, unit: "characters" | "bytes"): readonly string[] {
  const wrong = isMatch(SUBDOMAIN, text) ? [] : [regexText(SUBDOMAIN_TEXT, SUBDOMAIN, ["example.com"])];
  return [...tooLong(text, SUBDOMAIN_MAX, unit), ...wrong];
}

export function dns1035Label(text: string): readonly string[] {
  const wrong = isMatch(LABEL_1035, text) ? [] : [regexText(LABEL_1035_TEXT, LABEL_1035, ["my-name", "abc-123"])];
  return [...tooLong(text, LABEL_MAX, "characters"), ...wrong];
}

/** Of the beginning of a name, which may end with a dash; Kubernetes looks at it without its last two characters. */
export function prefixOf(check: Check): Check {
  return (text) => check(text.length > 1 && text.endsWith("-") ? `${text.slice(0, -2)}a` : text);
}

export function qualifiedName(text: string): readonly string[] {
  const parts = text.split("/");
  const keyText = regexText(KEY_TEXT, KEY, ["MyName", "my.name", "123-abc"]);
  if (parts.length > 2) {
    return [`a valid label key ${keyText} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const [name = "", prefix] = parts.toReversed();
  const length = name === "" ? ["must be non-empty"] : tooLong(name, LABEL_MAX, "bytes");
  const form = isMatch(KEY, name) ? [] : [keyText];
  return [...prefixProblems(prefix), ...[...length, ...form].map((problem) => `name part ${problem}`)];
}

function prefixProblems(prefix: string | undefined): readonly string[] {
  if (prefix === undefined) return [];
  const problems = prefix === "" ? ["must be non-empty"] : subdomain(prefix, "bytes");
  return problems.map((problem) => `prefix part ${problem}`);
}

export function labelValue(text: string): readonly string[] {
  const pattern = `(${KEY})?`;
  const message = `a valid label must be an empty string or ${KEY_TEXT.replace(/^must /, "")}`;
  const wrong = isMatch(pattern, text) ? [] : [regexText(message, pattern, ["MyValue", "my_value", "12345"])];
  return [...tooLong(text, LABEL_MAX, "bytes"), ...wrong];
}
