import { isRecord } from "../../api/problem.ts";
import { revisionOf } from "../intent/revision.ts";
import { Kept } from "../kept.ts";
import { annotationsOf, type KubernetesObject } from "../kubernetes.ts";
import { RECORD_ANNOTATION } from "../names.ts";
import type { World } from "../world.ts";

/** Which policies put something on a target, by the record on it. Whoever may write the target may forge it. */
export interface Recorded {
  readonly policies: readonly string[];
  readonly revision: string;
}

/** Undefined where there is no record that can be read. */
export function recordedOn(object: KubernetesObject): Recorded | undefined {
  const text = annotationsOf(object)[RECORD_ANNOTATION];
  return text === undefined ? undefined : recordedIn(text);
}

/** Targets of one policy carry one and the same record, and are looked at again and again. */
const readBefore = new Kept<Recorded>();

/** As {@link recordedOn}, of the text of the annotation. */
export function recordedIn(text: string): Recorded | undefined {
  return readBefore.get(text, () => parseRecorded(text));
}

function parseRecorded(text: string): Recorded | undefined {
  try {
    const record: unknown = JSON.parse(text);
    if (!isRecord(record)) return undefined;
    const { policy, revision } = record;
    if (typeof policy !== "string" || policy === "") return undefined;
    return Object.freeze({
      policies: Object.freeze(policy.split(",")),
      revision: typeof revision === "string" ? revision : "",
    });
  } catch {
    return undefined;
  }
}

/** The targets with settings of this policy, those being deleted left out: nothing is taken off them any more. */
export function recordsNaming(policy: string, targets: Iterable<KubernetesObject>): readonly KubernetesObject[] {
  const found: KubernetesObject[] = [];
  for (const object of targets) {
    // Records are small, but there may be thousands, and most are of other policies.
    if (!annotationsOf(object)[RECORD_ANNOTATION]?.includes(policy) || object.metadata?.deletionTimestamp) continue;
    if (recordedOn(object)?.policies.includes(policy)) found.push(object);
  }
  return found;
}

/** Whether a record names the policies as they are now, all of them; made once for many targets of a namespace. */
export function isCurrentIn(namespace: string, world: World): (recorded: Recorded) => boolean {
  const revisions = new Map(world.policiesIn(namespace).map((policy) => [policy.name, policy.revision]));
  const expected = new Map<string, string>();
  return ({ policies, revision }) => {
    const names = policies.join(",");
    let wanted = expected.get(names);
    if (wanted === undefined) {
      const each = policies.map((name) => revisions.get(name) ?? "");
      wanted = each.length === 1 ? (each[0] ?? "") : revisionOf(each);
      expected.set(names, wanted);
    }
    return wanted !== "" && wanted === revision;
  };
}
