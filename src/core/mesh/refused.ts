import type { Finding } from "../finding.ts";
import { type Intent, type Section, SECTIONS } from "../intent/intent.ts";

/** `spec.mtls.mode` -> `mtls`; undefined for a path that is in no section. */
export function sectionOf({ path }: Pick<Finding, "path">): Section | undefined {
  const name = path.split(/[.[]/, 2)[1];
  return SECTIONS.find((section) => section === name);
}

/** A section that a mesh cannot do as a whole is left out as a whole: half of it would be something else. */
export function withoutRefused(intent: Intent, findings: readonly Finding[]): Intent {
  const refused = new Set(findings.filter(({ severity }) => severity === "deny").map(sectionOf));
  return Object.fromEntries(SECTIONS.filter((it) => intent[it] && !refused.has(it)).map((it) => [it, intent[it]]));
}
