import type { Action } from "../../src/core/action.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";

type Spec = { rules: { backendRefs: object[] }[] };

/** HTTPRoutes as the API server keeps them: with the defaults that it fills in, and what others added. */
export class FakeRoutes {
  readonly #routes = new Map<string, KubernetesObject>();
  #version = 0;

  constructor(routes: readonly KubernetesObject[] = []) {
    for (const route of routes) this.#routes.set(route.metadata?.name ?? "", route);
  }

  get list(): readonly KubernetesObject[] {
    return [...this.#routes.values()];
  }

  get names(): readonly string[] {
    return [...this.#routes.keys()].sort();
  }

  /** Throws where the API server would answer a conflict. */
  execute(action: Action): void {
    if (action.kind !== "apply" && action.kind !== "delete") throw new Error(`Found a ${action.kind}`);
    const { name } = action.ref;
    const live = this.#routes.get(name);
    if (action.resourceVersion !== live?.metadata?.resourceVersion) throw new Error(`${name} is another one`);
    if (action.kind === "delete") {
      if (action.uid !== live?.metadata?.uid) throw new Error(`${name} is another one`);
      this.#routes.delete(name);
      return;
    }
    this.#version += 1;
    this.#routes.set(name, stored(action.object, live, String(this.#version)));
  }
}

/** Server-side apply takes away what was applied before and is no longer: here, every key of Linkerd's. */
function stored(applied: KubernetesObject, live: KubernetesObject | undefined, version: string): KubernetesObject {
  const kept = Object.entries(live?.metadata?.annotations ?? {}).filter(([key]) => !key.includes("linkerd.io/"));
  const spec = structuredClone(applied.spec) as Spec;
  for (const rule of spec.rules) rule.backendRefs = rule.backendRefs.map((backend) => ({ weight: 1, ...backend }));
  return {
    ...applied,
    apiVersion: "gateway.networking.k8s.io/v1",
    metadata: {
      ...applied.metadata,
      annotations: { ...Object.fromEntries(kept), ...applied.metadata?.annotations },
      uid: live?.metadata?.uid ?? `uid-of-${applied.metadata?.name}`,
      resourceVersion: version,
    },
    spec,
  };
}
