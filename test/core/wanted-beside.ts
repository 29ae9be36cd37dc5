import { companionsOf } from "../../src/core/companions/wanted.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { keyOf, worldOf } from "./worlds.ts";

/** What Fairlead wants beside a Service, as `kind name`, and the codes of what is said about it. */
export function wantedBeside(name: string, objects: readonly KubernetesObject[]) {
  const world = worldOf(objects);
  const object = objects.find(({ kind, metadata }) => kind === "Service" && metadata?.name === name) ?? {};
  const key = keyOf(object);
  const made = companionsOf({ key, object }, resolvePrecedence(world.policiesIn("iam"), key, object), world);
  return {
    objects: made.wanted.map((it) => it.object),
    names: made.wanted.map((it) => `${it.kind.kind} ${it.object.metadata?.name}`),
    findings: made.findings.map(({ finding }) => finding),
    codes: made.findings.map(({ finding: { code } }) => code),
    messages: made.findings.map(({ finding: { code, message } }) => `${code} ${message}`),
    unwritten: [...made.unwritten],
  };
}
