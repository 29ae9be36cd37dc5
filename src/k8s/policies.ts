import type { CompiledPolicy } from "../core/intent/policy.ts";
import type { KubernetesObject, ObjectMeta } from "../core/kubernetes.ts";
import { NamespacedMap } from "./namespaced.ts";
import { describeError } from "./ports.ts";
import type { StoreOptions } from "./store-options.ts";

/** What a policy event meant for the targets: `compiled` where another setting is in force now. */
export type PolicyNews = "compiled" | "same";

/** ResiliencePolicies as they are stored, and what of them is in force. */
export class PolicyIndex {
  readonly #objects = new NamespacedMap<KubernetesObject>();
  readonly #compiled = new NamespacedMap<CompiledPolicy>();

  /** Accepted policies; one that is being deleted is in force no longer. */
  compiledIn(namespace: string): readonly CompiledPolicy[] {
    return this.#compiled.list(namespace);
  }

  compiled(namespace: string, name: string): CompiledPolicy | undefined {
    return this.#compiled.get(namespace, name);
  }

  /** With its status, without managedFields; refused and dying policies too. */
  object(namespace: string, name: string): KubernetesObject | undefined {
    return this.#objects.get(namespace, name);
  }

  objectsIn(namespace: string): readonly KubernetesObject[] {
    return this.#objects.list(namespace);
  }

  objects(): Iterable<KubernetesObject> {
    return this.#objects.all();
  }

  /** A write that changes no setting (a status, a finalizer) keeps the value: caches hang on its identity. */
  set(object: KubernetesObject, compiled: CompiledPolicy | undefined): PolicyNews {
    const { namespace = "", name = "", deletionTimestamp } = object.metadata ?? {};
    this.#objects.set(namespace, name, withoutManagedFields(object));
    const inForce = deletionTimestamp ? undefined : compiled;
    const before = this.#compiled.get(namespace, name);
    if (isSame(before, inForce)) return "same";
    if (inForce === undefined) this.#compiled.delete(namespace, name);
    else this.#compiled.set(namespace, name, inForce);
    return "compiled";
  }

  delete(namespace: string, name: string): PolicyNews {
    this.#objects.delete(namespace, name);
    return this.#compiled.delete(namespace, name) ? "compiled" : "same";
  }
}

function isSame(before: CompiledPolicy | undefined, after: CompiledPolicy | undefined): boolean {
  if (before === undefined || after === undefined) return before === after;
  return before.revision === after.revision && before.createdAt === after.createdAt && before.uid === after.uid;
}

function withoutManagedFields(object: KubernetesObject): KubernetesObject {
  const { managedFields: _managed, ...metadata } = (object.metadata ?? {}) as ObjectMeta & { managedFields?: unknown };
  return { ...object, metadata };
}

/** A compiler that throws must not leave the earlier policy in force. */
export function compileSafely(
  object: KubernetesObject,
  { compilePolicy, log }: Pick<StoreOptions, "compilePolicy" | "log">,
): CompiledPolicy | undefined {
  try {
    return compilePolicy(object).policy;
  } catch (error) {
    const { namespace, name } = object.metadata ?? {};
    log.error({ namespace, name, error: describeError(error) }, "policy could not be compiled");
    return undefined;
  }
}
