import type { StringMap } from "../../kubernetes.ts";
import type { MeshCompiler, MeshVersion, TargetContext } from "../mesh.ts";
import { compileForLinkerd } from "./compile.ts";
import { linkerdEligibility, shadowingProfiles } from "./eligibility.ts";
import { isLinkerdKey, keySpec, type LinkerdGroup } from "./keys.ts";
import { readAnnotations } from "./read.ts";
import { forbiddenValues } from "./review-values.ts";
import { reviewAnnotations } from "./review.ts";
import { parseValue } from "./values.ts";

/**
 * The groups that policies write, by Linkerd's own. Both retries count as one, because the limit and the timeout
 * belong to both. What no policy writes (load biasing, Retry-After) belongs to people alone.
 */
const GROUPS: Readonly<Record<LinkerdGroup, string | undefined>> = {
  accrual: "accrual",
  timeouts: "timeouts",
  retry: "retry",
  httpRetry: "retry",
  grpcRetry: "retry",
  loadBiaser: undefined,
  honorRetryAfter: undefined,
};

/** Linkerd: settings are annotations on the target itself. */
export const linkerd: MeshCompiler = {
  name: "Linkerd",
  compile: compileForLinkerd,
  eligibility: linkerdEligibility,
  shadows: (target) => (target.kind.kind === "Service" ? shadowingProfiles(target.key.name, target) : []),
  review: reviewAnnotations,
  groupOf,
  acceptsValue,
  objection,
};

function groupOf(annotation: string): string | undefined {
  return isLinkerdKey(annotation) ? GROUPS[keySpec(annotation).group] : undefined;
}

function acceptsValue(annotation: string, value: string, version: MeshVersion): boolean {
  return isLinkerdKey(annotation) && parseValue(annotation, value, version).ok;
}

function objection(group: string, annotations: StringMap, target: TargetContext): string | undefined {
  const reading = readAnnotations(annotations, target.kind.kind, target.version);
  const problem = reading.problems.find((found) => GROUPS[found.group] === group);
  return problem?.reason ?? forbiddenValues(reading, target.kind.kind)[0]?.message;
}
