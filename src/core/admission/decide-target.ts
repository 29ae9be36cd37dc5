import { annotationKey, compareFindings, type Finding, finding, sortFindings } from "../finding.ts";
import { annotationsOf, type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { meshOf } from "../mesh/all.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import type { MeshCompiler, TargetContext } from "../mesh/mesh.ts";
import { INJECT_LABEL, INJECT_VALUES, RECORD_ANNOTATION, type TargetKind } from "../names.ts";
import { besideGenerated } from "../routes/attached.ts";
import { quote } from "../text.ts";
import type { World } from "../world.ts";
import { type Injection, inject, injectionPatch, releaseChanges } from "./inject.ts";
import { modeOf, type NamespaceMode } from "./mode.ts";
import { withMetadata } from "./patch.ts";
import { checkRecord } from "./record.ts";
import { ALLOWED, type AdmissionRequest, type Verdict } from "./review.ts";
import { denialText, warningTexts } from "./text.ts";

export interface TargetRequest {
  readonly request: AdmissionRequest;
  readonly object: KubernetesObject;
  readonly kind: TargetKind;
}

/** A write of a Service or route in a namespace that may have opted in. */
export function decideTarget({ request, object, kind }: TargetRequest, world: World): Verdict {
  const namespaceMode = modeOf(request.namespace, world);
  const { mode } = namespaceMode;
  if (mode === undefined) return ALLOWED;
  const target = contextOf({ request, object, kind }, world);
  const mesh = meshOf(target.namespace, world.defaults);
  if (request.phase === "validate") return validate({ target, mesh, request, namespaceMode });
  if (mode === "audit") return { ...ALLOWED, mode };
  const injection = inject(target, mesh, oldObjectOf(request));
  const patch = injectionPatch(object, injection);
  if (patch.length === 0 && injection.lost.length === 0) return { ...ALLOWED, mode };
  return { ...ALLOWED, mode, patch, findings: injection.lost, warnings: warningTexts(injection.lost, mode) };
}

/** A written target as the mesh sees it. */
export function contextOf({ request, object, kind }: TargetRequest, world: World): TargetContext {
  const namespace = world.namespace(request.namespace);
  return {
    key: { group: kind.group, kind: kind.kind, namespace: request.namespace, name: request.name },
    kind,
    object,
    namespace,
    version: meshVersionIn(namespace, world),
    world,
  };
}

function oldObjectOf(request: AdmissionRequest): KubernetesObject | undefined {
  return request.operation === "UPDATE" ? request.oldObject : undefined;
}

interface ValidateInput {
  readonly target: TargetContext;
  readonly mesh: MeshCompiler;
  readonly request: AdmissionRequest;
  readonly namespaceMode: NamespaceMode;
}

/**
 * Judges the object as it will be stored. That recompiling gives something else is never a reason to deny: replicas
 * see changes at different moments, and the controller brings the object in line (docs/architecture.md).
 */
function validate({ target, mesh, request, namespaceMode }: ValidateInput): Verdict {
  const { mode } = namespaceMode;
  const oldObject = oldObjectOf(request);
  const injection = inject(target, mesh, oldObject);
  const found = [
    ...namespaceMode.findings,
    ...injection.findings,
    ...(mode === "audit" ? [] : outOfStep(target.object, injection)),
    ...onItself(mode === "audit" ? asInjected(target, injection) : target, mesh, injection),
    ...besideGenerated(target),
  ];
  if (found.length === 0) return { ...ALLOWED, mode };
  const findings = oldObject ? toleratingOld(sortFindings(found), { target, mesh, oldObject }) : sortFindings(found);
  const denied = mode === "enforce" && findings.some((item) => item.severity === "deny");
  return {
    allowed: !denied,
    patch: [],
    findings,
    warnings: mode === "audit" ? [] : warningTexts(findings, mode),
    message: denied ? denialText(`${target.key.kind} ${target.key.namespace}/${nameOf(request)}`, findings) : "",
    mode,
  };
}

/** Audit mode tells what would have happened, and judgement would have come after injection. */
function asInjected(target: TargetContext, { annotations, labels }: Injection): TargetContext {
  return { ...target, object: withMetadata(target.object, annotations, labels) };
}

function nameOf(request: AdmissionRequest): string {
  return request.name || `${request.object?.metadata?.generateName ?? ""}*`;
}

/** Findings that are true of the object in itself, whatever the policies say. */
function onItself(target: TargetContext, mesh: MeshCompiler, injection?: Injection): readonly Finding[] {
  const annotations = annotationsOf(target.object);
  const record = annotations[RECORD_ANNOTATION];
  const findings = [...unknownInjectLabel(target.object), ...mesh.review(target, annotations)];
  // A record that is, letter for letter, what we would write needs no look.
  if (record === undefined || record === injection?.annotations[RECORD_ANNOTATION]) return findings;
  return [...findings, ...checkRecord(record, target.version)];
}

/** Somebody who opts out with a typo would believe that it worked. */
function unknownInjectLabel(object: KubernetesObject): readonly Finding[] {
  const value = labelsOf(object)[INJECT_LABEL];
  if (value === undefined || INJECT_VALUES.includes(value)) return [];
  return [
    finding("FL603", `metadata.labels["${INJECT_LABEL}"]`, {
      message: `Found ${quote(value)}, wanted ${INJECT_VALUES.join(" or ")}; it counts as no label`,
      fix: `write ${INJECT_LABEL}: disabled to opt out, or remove the label`,
    }),
  ];
}

function outOfStep(object: KubernetesObject, injection: Injection): readonly Finding[] {
  if (injectionPatch(object, injection).length === 0) return [];
  return [
    finding("FL505", "", {
      message: "The settings on it are not those of today's policies",
      fix: "nothing to do: the controller brings it in line",
    }),
  ];
}

interface Update {
  readonly target: TargetContext;
  readonly mesh: MeshCompiler;
  readonly oldObject: KubernetesObject;
}

/**
 * A write is denied only for what it introduces or touches: what was true of the old object too becomes a warning. So
 * does what is true of it without us: what an Override had replaced comes back when it goes, and nobody has written
 * that now, alone or beside what people wrote meanwhile.
 */
function toleratingOld(findings: readonly Finding[], { target, mesh, oldObject }: Update): readonly Finding[] {
  if (!findings.some((item) => item.severity === "deny")) return findings;
  const withoutUs = withMetadata(oldObject, releaseChanges(oldObject, target.version).annotations, {});
  const known = [oldObject, withoutUs];
  const old = known.flatMap((object) => onItself({ ...target, object }, mesh));
  const isUntouched = ({ path }: Finding): boolean => {
    const key = annotationKey(path);
    return (
      key === undefined || known.some((object) => annotationsOf(object)[key] === annotationsOf(target.object)[key])
    );
  };
  return findings.map((item) =>
    item.severity === "deny" && isUntouched(item) && old.some((other) => compareFindings(other, item) === 0)
      ? { ...item, severity: "warn" }
      : item,
  );
}
