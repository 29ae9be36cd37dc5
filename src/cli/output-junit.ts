import type { LocatedReview } from "./output.ts";

/** One test case an object, a denial is its failure: the dialect that GitLab, Jenkins and GitHub actions read. */
export function renderJunit(reviews: readonly LocatedReview[]): string {
  const failures = reviews.filter(({ result }) => !result.allowed).length;
  const cases = reviews.map((review) => {
    const { result, file, line } = review;
    const name = `${result.kind} ${result.namespace}/${result.name}`;
    const open = `    <testcase classname="${escapeXml(file)}" name="${escapeXml(name)}" file="${escapeXml(file)}" line="${line}"`;
    const output =
      result.warnings.length > 0 ? `<system-out>${escapeXml(result.warnings.join("\n"))}</system-out>` : "";
    const failure = result.allowed ? "" : `<failure message="denied">${escapeXml(failureOf(review))}</failure>`;
    return failure + output === "" ? `${open}/>` : `${open}>${failure}${output}</testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    "<testsuites>",
    `  <testsuite name="fairlead review" tests="${reviews.length}" failures="${failures}">`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

/** The text that kubectl would show, then where each refused field stands. */
function failureOf({ result, message, file, lineOf }: LocatedReview): string {
  const denied = result.findings.filter(({ severity }) => severity === "deny");
  const places = denied.map(({ path, code }) => `${file}:${lineOf(path)}: ${path === "" ? "" : `${path} `}(${code})`);
  return [message, "", ...new Set(places)].join("\n");
}

/** XML 1.0 knows no other control characters than tab and line breaks, not even escaped. */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\P{Cc}\t\n\r]/gu, " ")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
