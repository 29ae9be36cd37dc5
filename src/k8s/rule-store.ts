import { compareStrings } from "../core/finding.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { CORE_GROUP, FAIRLEAD_GROUP } from "../core/names.ts";
import { compileException } from "../core/rules/compile-exception.ts";
import { compileStoredRule } from "../core/rules/compile-rule.ts";
import type { CompiledException, CompiledRule } from "../core/rules/rule.ts";
import type { Change } from "./change.ts";
import type { ResourceRef } from "./client.ts";
import { KindCatalog, type KindCatalogOptions } from "./kind-catalog.ts";
import { NamespacedMap } from "./namespaced.ts";
import { describeError } from "./ports.ts";
import { slim } from "./reduce.ts";
import type { ResourceWatch } from "./watch.ts";
import type { WatchedPart, WatchHandler } from "./watch-options.ts";

const RULES: ResourceRef = { group: FAIRLEAD_GROUP, resource: "admissionrules" };
const EXCEPTIONS: ResourceRef = { group: FAIRLEAD_GROUP, resource: "ruleexceptions" };
const CONFIG_MAPS: ResourceRef = { group: CORE_GROUP, resource: "configmaps" };

export interface RuleStoreOptions extends KindCatalogOptions {
  readonly excludedNamespaces: ReadonlySet<string>;
  /** Where the ConfigMaps are that rules read as params; absent: none is read. */
  readonly ownNamespace?: string;
  readonly emit: (change: Change) => void;
}

interface StoredRule {
  readonly object: KubernetesObject;
  /** Undefined while the rule is refused or being deleted. */
  readonly compiled: CompiledRule | undefined;
  /** What is wrong with it; empty where it is accepted. */
  readonly problems: readonly string[];
}

/** The rules, the exceptions, and the ConfigMaps that rules read: as they are stored, and what of them is in force. */
export class RuleStore {
  readonly #options: RuleStoreOptions;
  readonly #rules = new Map<string, StoredRule>();
  readonly #exceptions = new NamespacedMap<CompiledException>();
  readonly #configMaps = new Map<string, KubernetesObject>();
  /** What the API server says of the kinds that rules match. */
  readonly kinds: KindCatalog;
  #inForce: readonly CompiledRule[] | undefined;

  constructor(options: RuleStoreOptions) {
    this.#options = options;
    this.kinds = new KindCatalog(options);
  }

  /** What has to be watched for it; the last is a kind of one namespace. */
  watches(
    watch: (resource: ResourceRef, handler: WatchHandler, only?: WatchedPart) => ResourceWatch,
  ): readonly ResourceWatch[] {
    const { ownNamespace } = this.#options;
    const params =
      ownNamespace === undefined ? [] : [watch(CONFIG_MAPS, this.#configMapHandler(), { namespace: ownNamespace })];
    return [watch(RULES, this.#ruleHandler()), watch(EXCEPTIONS, this.#exceptionHandler()), ...params];
  }

  /** The same list until a rule changes: what is made of it may be kept by its identity. */
  rules(): readonly CompiledRule[] {
    this.#inForce ??= [...this.#rules.values()]
      .flatMap(({ compiled }) => compiled ?? [])
      .toSorted((one, other) => compareStrings(one.name, other.name));
    return this.#inForce;
  }

  /** As they are stored, with their status, also what is refused or being deleted. */
  objects(): readonly KubernetesObject[] {
    return [...this.#rules.values()].map(({ object }) => object);
  }

  /** Why a rule is not in force; empty where it is accepted. To compile it again would take milliseconds. */
  problems(name: string): readonly string[] {
    return this.#rules.get(name)?.problems ?? [];
  }

  exceptionsIn(namespace: string): readonly CompiledException[] {
    return this.#exceptions.list(namespace);
  }

  configMap(name: string): KubernetesObject | undefined {
    return this.#configMaps.get(name);
  }

  #ruleHandler(): WatchHandler {
    return {
      set: (object) => {
        const { name = "" } = object.metadata ?? {};
        const before = this.#rules.get(name);
        const made = before && isSameSpec(before.object, object) ? before : this.#compile(object);
        const compiled = object.metadata?.deletionTimestamp ? undefined : made.compiled;
        this.#rules.set(name, { object, compiled, problems: made.problems });
        this.#ruleChanged();
      },
      delete: (_, name) => {
        this.#rules.delete(name);
        this.#ruleChanged();
      },
    };
  }

  #ruleChanged(): void {
    this.#inForce = undefined;
    this.#options.emit({ type: "rule", namespace: "" });
  }

  #exceptionHandler(): WatchHandler {
    return {
      set: (object) => {
        const { namespace = "", name = "", deletionTimestamp } = object.metadata ?? {};
        const { exception } = compileException(object);
        if (exception === undefined || deletionTimestamp) this.#exceptions.delete(namespace, name);
        else this.#exceptions.set(namespace, name, exception);
        this.#options.emit({ type: "exception", namespace });
      },
      delete: (namespace, name) => {
        this.#exceptions.delete(namespace, name);
        this.#options.emit({ type: "exception", namespace });
      },
    };
  }

  #configMapHandler(): WatchHandler {
    return {
      set: (object) => {
        const { name = "" } = object.metadata ?? {};
        this.#configMaps.set(name, slim(object));
        this.#paramsChanged(name);
      },
      delete: (_, name) => {
        this.#configMaps.delete(name);
        this.#paramsChanged(name);
      },
    };
  }

  /** Leader election and others keep ConfigMaps there too, which change often and mean nothing to rules. */
  #paramsChanged(name: string): void {
    const isRead = this.rules().some(({ params }) => params.kind === "configMap" && params.name === name);
    if (isRead) this.#options.emit({ type: "rule", namespace: "" });
  }

  /** A compiler that throws must not leave the earlier rule in force. */
  #compile(object: KubernetesObject): Pick<StoredRule, "compiled" | "problems"> {
    const { excludedNamespaces, log } = this.#options;
    const { name } = object.metadata ?? {};
    try {
      const { rule, findings } = compileStoredRule(object, excludedNamespaces);
      const denied = findings.filter(({ severity }) => severity === "deny");
      const [problem] = denied;
      if (problem !== undefined)
        log.warn({ name, code: problem.code, problem: problem.message }, "rule is not in force");
      return { compiled: rule, problems: denied.map(({ message }) => message) };
    } catch (error) {
      const problem = describeError(error);
      log.error({ name, error: problem }, "rule could not be compiled");
      return { compiled: undefined, problems: [`It could not be compiled: ${problem}`] };
    }
  }
}

/** A status or a label that was written leaves a rule what it is: caches hang on its identity. */
function isSameSpec(before: KubernetesObject, after: KubernetesObject): boolean {
  const { uid, generation, deletionTimestamp } = before.metadata ?? {};
  return (
    uid !== undefined &&
    generation !== undefined &&
    !deletionTimestamp &&
    uid === after.metadata?.uid &&
    generation === after.metadata.generation
  );
}
