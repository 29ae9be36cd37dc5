import type { Finding } from "../../finding.ts";
import { Kept } from "../../kept.ts";
import type { Route, StringMap } from "../../kubernetes.ts";
import type { TargetContext } from "../mesh.ts";
import { shadowingProfiles } from "./eligibility.ts";
import { isResilienceKey } from "./keys.ts";
import { readAnnotations } from "./read.ts";
import { EMPTY_READING, type Reading } from "./reading.ts";
import { hasMeshParent, ignoredRouteFields, switchedOff, unreadRoute } from "./review-routes.ts";
import { acrossGroups, forbiddenValues, inertValues, problemFinding, unreadKeys } from "./review-values.ts";
import type { LinkerdVersion } from "./version.ts";

/**
 * What Linkerd will make of the annotations of a Service or route, whoever wrote them: dropped values deny, values
 * that mean something else than they seem to warn (docs/policy.md).
 */
export function reviewAnnotations(target: TargetContext, annotations: StringMap): readonly Finding[] {
  if (target.kind.kind === "Service") return reviewService(target, annotations);
  const ofRoute = ignoredRouteFields(target);
  const reading = readAnnotations(annotations, target.kind.kind, target.version.linkerd);
  if (reading === EMPTY_READING) return [...ofRoute, ...switchedOff(target, reading)];
  if (!hasMeshParent(target.object as Route)) return unreadRoute(annotations);
  return [
    ...ofRoute,
    ...reviewValues(reading, annotations, target),
    ...shadowingProfiles(target),
    ...switchedOff(target, reading),
  ];
}

/** Nothing here depends on more than the annotations under Linkerd's prefixes, the kind of target and the version. */
function reviewValues(reading: Reading, annotations: StringMap, target: TargetContext): readonly Finding[] {
  return [
    ...reading.problems.map(problemFinding),
    ...forbiddenValues(annotations, target),
    ...inertValues(reading, annotations, target),
    ...unreadKeys(reading, annotations, target),
    ...acrossGroups(reading),
  ];
}

const NO_FINDINGS: readonly Finding[] = Object.freeze([]);
/** By version and by the annotations under Linkerd's prefixes: Services of one policy carry the same ones. */
const reviewed = new WeakMap<LinkerdVersion, Kept<readonly Finding[]>>();

function reviewService(target: TargetContext, annotations: StringMap): readonly Finding[] {
  const text = settingsText(annotations);
  if (text === "") return NO_FINDINGS;
  const { linkerd } = target.version;
  let known = reviewed.get(linkerd);
  if (known === undefined) reviewed.set(linkerd, (known = new Kept()));
  const findings = known.get(text, () =>
    reviewValues(readAnnotations(annotations, "Service", linkerd), annotations, target),
  );
  const shadows = shadowingProfiles(target);
  return shadows.length === 0 ? findings : [...findings, ...shadows];
}

/** Tells any two sets of annotations apart, since every key and value comes with its length. */
function settingsText(annotations: StringMap): string {
  let text = "";
  for (const key in annotations) {
    if (!isResilienceKey(key)) continue;
    const value = annotations[key] as string;
    text += `${key.length},${value.length},${key}${value}`;
  }
  return text;
}
