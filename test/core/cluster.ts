import { applyPatch } from "rfc6902";
import { expect } from "vitest";
import { planTarget } from "../../src/core/admission/plan.ts";
import { type KubernetesObject, labelsOf, type StringMap } from "../../src/core/kubernetes.ts";
import { type Annotations, keyOf, mutate, validate, worldOf } from "./worlds.ts";

export const RECORD = "fairlead.dev/injected";
export const REVISION = "fairlead.dev/revision";

export type Mutator = (object: KubernetesObject) => KubernetesObject;

/** One object behind an API server with both webhooks; the world around it changes by assignment. */
export class Cluster {
  world: KubernetesObject[];
  live: KubernetesObject | undefined;
  warnings: readonly string[] = [];
  codes: readonly string[] = [];
  message = "";
  /** Runs after our first pass and makes the API server ask us again. */
  foreign: Mutator | undefined;

  constructor(...world: KubernetesObject[]) {
    this.world = world;
  }

  /** True when the write was admitted. Both passes, the patch applied as RFC 6902, reinvocation where it is due. */
  write(next: KubernetesObject): boolean {
    const world = worldOf(this.world);
    const object = structuredClone(next);
    const first = mutate(world, object, this.live);
    expect(applyPatch(object, structuredClone([...first.patch])).every((error) => error === null)).toBe(true);
    const stored = this.foreign === undefined ? object : this.foreign(object);
    const second = mutate(world, stored, this.live);
    applyPatch(stored, structuredClone([...second.patch]));
    expect(mutate(world, stored, this.live).patch, "a further pass changes nothing").toEqual([]);
    const verdict = validate(world, stored, this.live);
    this.warnings = [...first.warnings, ...verdict.warnings];
    this.codes = [...new Set([...first.findings, ...verdict.findings].map((item) => item.code))].sort();
    this.message = verdict.message;
    if (verdict.allowed) this.live = stored;
    return verdict.allowed;
  }

  /** `kubectl annotate` and the like: a change to the live object; null removes. */
  annotate(changes: Readonly<Record<string, string | null>>): boolean {
    return this.write(withAnnotations(this.object, changes));
  }

  /** `kubectl apply`: what the last manifest had and this one has not goes, what it has is set, the rest stays. */
  apply(manifest: StringMap, last: StringMap): boolean {
    const removed = Object.fromEntries(Object.keys(last).map((key) => [key, null]));
    return this.write(withAnnotations(this.object, { ...removed, ...manifest }));
  }

  get object(): KubernetesObject {
    if (this.live === undefined) throw new Error("Nothing was written yet");
    return this.live;
  }

  /** All annotations but the record. */
  get annotations(): Annotations {
    const { [RECORD]: _, ...rest } = { ...this.object.metadata?.annotations };
    return rest;
  }

  get record(): { policy: string; keys: Annotations; replaced?: Annotations } | undefined {
    const text = this.object.metadata?.annotations?.[RECORD];
    return text === undefined ? undefined : JSON.parse(text);
  }

  get revision(): string | undefined {
    return labelsOf(this.object)[REVISION];
  }

  get plan() {
    return planTarget(
      { ...this.object, metadata: { ...this.object.metadata, resourceVersion: "7" } },
      keyOf(this.object),
      worldOf(this.world),
    );
  }
}

export function withAnnotations(
  object: KubernetesObject,
  changes: Readonly<Record<string, string | null>>,
): KubernetesObject {
  const annotations: Annotations = { ...object.metadata?.annotations };
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete annotations[key];
    else annotations[key] = value;
  }
  return { ...object, metadata: { ...object.metadata, annotations } };
}
