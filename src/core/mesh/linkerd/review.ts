import type { Finding } from "../../finding.ts";
import type { Route, StringMap } from "../../kubernetes.ts";
import type { TargetContext } from "../mesh.ts";
import { shadowingProfiles } from "./eligibility.ts";
import { readAnnotations } from "./read.ts";
import { EMPTY_READING } from "./reading.ts";
import { hasMeshParent, ignoredRouteFields, switchedOff, unreadRoute } from "./review-routes.ts";
import { acrossGroups, forbiddenValues, inertValues, problemFinding, unreadKeys } from "./review-values.ts";

/**
 * What Linkerd will make of the annotations of a Service or route, whoever wrote them: dropped values deny, values
 * that mean something else than they seem to warn (docs/policy.md).
 */
export function reviewAnnotations(target: TargetContext, annotations: StringMap): readonly Finding[] {
  const isService = target.kind.kind === "Service";
  const ofRoute = isService ? [] : ignoredRouteFields(target);
  const reading = readAnnotations(annotations, target.kind.kind, target.version);
  if (reading === EMPTY_READING) return isService ? ofRoute : [...ofRoute, ...switchedOff(target, reading)];
  if (!isService && !hasMeshParent(target.object as Route)) return unreadRoute(annotations);
  return [
    ...ofRoute,
    ...reading.problems.map(problemFinding),
    ...forbiddenValues(annotations, target),
    ...inertValues(reading, annotations, target),
    ...unreadKeys(reading, annotations, target),
    ...acrossGroups(reading),
    ...shadowingProfiles(target),
    ...(isService ? [] : switchedOff(target, reading)),
  ];
}
