import type { StringMap } from "../../kubernetes.ts";
import { canonicalJson } from "../../intent/revision.ts";
import { quote, showMs } from "../../text.ts";
import type { MeshCompiler, MixedGroup, TargetContext, ValuePair } from "../mesh.ts";
import type { MeshVersion } from "../version.ts";
import { RETRY_KEYS, TIMEOUT_KEYS } from "./annotations.ts";
import { linkerdCompanions } from "./companions.ts";
import { compileForLinkerd } from "./compile.ts";
import { parseDuration } from "./duration.ts";
import { httpPorts, linkerdEligibility, shadowingProfiles } from "./eligibility.ts";
import { inForce } from "./in-force.ts";
import { unfitForLinkerd } from "./inbound.ts";
import { isLinkerdKey, keySpec, type LinkerdGroup } from "./keys.ts";
import { readAnnotations } from "./read.ts";
import { forbiddenValues } from "./review-values.ts";
import { reviewAnnotations } from "./review.ts";
import { linkerdRivals } from "./rivals.ts";
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
  settingsStand: "on the target",
  compile: (intent, kind, version) => compileForLinkerd(intent, kind, version.linkerd),
  // Annotations carry what clients do but the entries of routes, which are HTTPRoutes (core/routes).
  companions: linkerdCompanions,
  unfit: unfitForLinkerd,
  fallsShort: () => [],
  rivals: linkerdRivals,
  eligibility: linkerdEligibility,
  httpPorts,
  shadows: shadowingProfiles,
  review: reviewAnnotations,
  inForce,
  groupOf,
  acceptsValue,
  objection,
  meansTheSame,
};

function groupOf(annotation: string): string | undefined {
  return isLinkerdKey(annotation) ? GROUPS[keySpec(annotation).group] : undefined;
}

function acceptsValue(annotation: string, value: string, version: MeshVersion): boolean {
  return isLinkerdKey(annotation) && parseValue(annotation, value, version.linkerd).ok;
}

/**
 * The parser, and the checks across fields that would refuse a policy with these values. A limit of zero is a person's
 * try to switch retries off: filled up with a status list it would turn one retry on.
 */
function objection({ group, annotations, settled }: MixedGroup, target: TargetContext): string | undefined {
  const reading = readAnnotations(annotations, target.kind.kind, target.version.linkerd);
  const problem = reading.problems.find((found) => GROUPS[found.group] === group);
  const refused = problem?.reason ?? forbiddenValues(annotations, target)[0]?.message;
  return refused ?? (group === "retry" ? retryObjection(annotations, settled) : undefined);
}

function retryObjection(annotations: StringMap, settled: StringMap): string | undefined {
  const limit = annotations[RETRY_KEYS.limit];
  if (limit !== undefined && Number(limit) === 0)
    return `${RETRY_KEYS.limit} ${quote(limit)} beside a status list is one retry`;
  const perTryMs = readMs(annotations[RETRY_KEYS.timeout]);
  const requestMs = readMs(settled[TIMEOUT_KEYS.request]);
  if (perTryMs === undefined || requestMs === undefined || requestMs === 0 || perTryMs <= requestMs) return undefined;
  return `${RETRY_KEYS.timeout} ${showMs(perTryMs)} is above ${TIMEOUT_KEYS.request} ${showMs(requestMs)}`;
}

function readMs(text: string | undefined): number | undefined {
  const parsed = text === undefined ? undefined : parseDuration(text);
  return parsed?.ok === true ? parsed.value : undefined;
}

function meansTheSame({ key, value, other }: ValuePair, version: MeshVersion): boolean {
  if (value === other || !isLinkerdKey(key)) return value === other;
  const [left, right] = [parseValue(key, value, version.linkerd), parseValue(key, other, version.linkerd)];
  return left.ok && right.ok && canonicalJson(left.value) === canonicalJson(right.value);
}
