import { compilePolicy, type CompiledPolicy } from "../core/intent/policy.ts";
import { isEndpointSlice, podPortsIn, readyIn, type SliceFacts, sliceFacts } from "../core/endpoint-slices.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import type { ControlPlane } from "../core/mesh/control-plane.ts";
import { ANY_HOST, hostKeys } from "../core/mesh/istio/hosts.ts";
import {
  type CompanionKind,
  FAIRLEAD_GROUP,
  isKindBeside,
  MODE_LABEL,
  NAMESPACE_NAME_LABEL,
  targetKindOf,
} from "../core/names.ts";
import { isActiveProfile } from "../core/service-profile.ts";
import type { ResourceName, RuleKind } from "../core/rules/kinds.ts";
import type { CompiledException, CompiledRule } from "../core/rules/rule.ts";
import { FileRules } from "./file-rules.ts";
import { kindIn } from "./file-kinds.ts";
import type { NamespaceInfo, ServiceProfileInfo, TargetKey, World, WorldDefaults } from "../core/world.ts";

/** Where params of rules are looked for; a cluster may have Fairlead elsewhere, which no file tells. */
const OWN_NAMESPACE = "fairlead";

const NO_CONTROL_PLANES: readonly ControlPlane[] = Object.freeze([]);

/** A world made of the objects of some files (docs/review.md). Of two objects with one name the later one counts. */
export class FileWorld implements World {
  readonly defaults: WorldDefaults;
  readonly #namespaces = new Map<string, NamespaceInfo>();
  readonly #policies = new Map<string, Map<string, CompiledPolicy>>();
  readonly #targets = new Map<string, Map<string, KubernetesObject>>();
  readonly #targetLists = new Map<string, readonly KubernetesObject[]>();
  readonly #profiles: ServiceProfileInfo[] = [];
  readonly #companions: KubernetesObject[] = [];
  /** Of them those of one namespace and kind, once somebody has asked. */
  readonly #workloads = new Map<string, readonly KubernetesObject[]>();
  /** By `namespace/service`. */
  readonly #slices = new Map<string, Map<string, SliceFacts>>();
  readonly #configMaps = new Map<string, KubernetesObject>();
  readonly #objects: readonly KubernetesObject[];
  readonly #rules: FileRules;

  constructor(objects: readonly KubernetesObject[], defaults: WorldDefaults) {
    this.defaults = defaults;
    this.#objects = objects;
    for (const object of objects) this.#add(object);
    const { excludedNamespaces } = defaults;
    this.#rules = new FileRules(objects, { kinds: this, excludedNamespaces });
  }

  #add(object: KubernetesObject): void {
    const { kind = "", apiVersion = "", metadata } = object;
    const group = groupOf(apiVersion);
    const name = metadata?.name ?? "";
    const namespace = namespaceOf(object);
    if (kind === "Namespace" && group === "") {
      this.#namespaces.set(name, { name, labels: metadata?.labels ?? {}, annotations: metadata?.annotations ?? {} });
    } else if (targetKindOf(group, kind)) {
      this.update(object);
    } else if (kind === "ServiceProfile" && group === "linkerd.io") {
      this.#profiles.push({ namespace, name, active: isActiveProfile(object) });
    } else if (isKindBeside(group, kind)) {
      this.#companions.push({ ...object, metadata: { ...metadata, namespace } });
    } else if (isEndpointSlice(object)) {
      const facts = sliceFacts(object);
      mapIn(this.#slices, `${namespace}/${facts.service}`).set(name, facts);
    } else if (kind === "ConfigMap" && group === "" && namespace === OWN_NAMESPACE) {
      this.#configMaps.set(name, object);
    }
  }

  /** Puts a Service or route in the place of the one of its name; other kinds are left out. */
  update(object: KubernetesObject): void {
    const { kind = "", apiVersion = "", metadata } = object;
    const group = groupOf(apiVersion);
    if (targetKindOf(group, kind) === undefined) return;
    mapIn(this.#targets, namespaceOf(object)).set(`${group}/${kind}/${metadata?.name ?? ""}`, object);
    this.#targetLists.delete(namespaceOf(object));
  }

  /** Takes a policy into the world. Only accepted ones belong there. */
  accept(object: KubernetesObject): void {
    const policy = compiledOnce(object);
    if (policy) mapIn(this.#policies, policy.namespace).set(policy.name, policy);
  }

  /** Takes a policy out again. */
  reject(object: KubernetesObject): void {
    this.#policies.get(namespaceOf(object))?.delete(object.metadata?.name ?? "");
  }

  /** One that is not in the files is as if it had the label of the mode, where there is a mode, and nothing else. */
  namespace(name: string): NamespaceInfo | undefined {
    const { unknownNamespaceMode: mode } = this.defaults;
    const labels = { [MODE_LABEL]: mode ?? "" };
    const assumed = mode === undefined ? undefined : { name, assumed: true, labels, annotations: {} };
    return this.#namespaces.get(name) ?? assumed;
  }

  /** Files say what is to be, not which mesh runs: `--mesh-version` does. */
  controlPlanes(): readonly ControlPlane[] {
    return NO_CONTROL_PLANES;
  }

  endpointsOf(service: string, namespace: string): number | undefined {
    return readyIn(this.#slicesOf(service, namespace));
  }

  podPortsOf(service: string, namespace: string, port: string): readonly number[] | undefined {
    return podPortsIn(this.#slicesOf(service, namespace), port);
  }

  #slicesOf(service: string, namespace: string): Iterable<SliceFacts> {
    return this.#slices.get(`${namespace}/${service}`)?.values() ?? [];
  }

  policiesIn(namespace: string): readonly CompiledPolicy[] {
    return [...(this.#policies.get(namespace)?.values() ?? [])];
  }

  target(key: TargetKey): KubernetesObject | undefined {
    return this.#targets.get(key.namespace)?.get(`${key.group}/${key.kind}/${key.name}`);
  }

  targetsIn(namespace: string): readonly KubernetesObject[] {
    const known = this.#targetLists.get(namespace);
    if (known !== undefined) return known;
    const list = [...(this.#targets.get(namespace)?.values() ?? [])];
    this.#targetLists.set(namespace, list);
    return list;
  }

  rules(): readonly CompiledRule[] {
    return this.#rules.all;
  }

  ruleKind(name: ResourceName): RuleKind | undefined {
    return kindIn(this.#objects, name);
  }

  exceptionsIn(namespace: string): readonly CompiledException[] {
    return this.#rules.exceptionsIn(namespace);
  }

  paramsConfigMap(name: string): KubernetesObject | undefined {
    return this.#configMaps.get(name);
  }

  namespaceObject(name: string): KubernetesObject {
    const { labels = {}, annotations = {} } = this.namespace(name) ?? {};
    // The API server puts the name of each Namespace among its labels.
    return {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { ...labels, [NAMESPACE_NAME_LABEL]: name }, annotations },
    };
  }

  serviceProfilesFor(service: string, namespace: string): readonly ServiceProfileInfo[] {
    return this.#profiles.filter((profile) => profile.name.startsWith(`${service}.${namespace}.svc.`));
  }

  hostObjects(service: string, namespace: string): readonly KubernetesObject[] {
    const host = `${service}.${namespace}.svc`;
    return this.#companions.filter((object) => hostKeys(object).some((key) => key === host || key === ANY_HOST));
  }

  workloadObjects(namespace: string, { group, kind }: CompanionKind): readonly KubernetesObject[] {
    const text = `${namespace}/${group}/${kind}`;
    const known = this.#workloads.get(text);
    if (known !== undefined) return known;
    const found = this.#companions.filter(
      (it) => namespaceOf(it) === namespace && it.kind === kind && groupOf(it.apiVersion ?? "") === group,
    );
    this.#workloads.set(text, found);
    return found;
  }
}

/** Objects are never changed, and one is part of many worlds where what others would be is asked. */
const compiled = new WeakMap<KubernetesObject, { readonly policy: CompiledPolicy | undefined }>();

function compiledOnce(object: KubernetesObject): CompiledPolicy | undefined {
  const known = compiled.get(object);
  if (known !== undefined) return known.policy;
  const { policy } = compilePolicy({ ...object, metadata: { ...object.metadata, namespace: namespaceOf(object) } });
  compiled.set(object, { policy });
  return policy;
}

/** A missing namespace is `default`, as kubectl has it. */
export function namespaceOf(object: KubernetesObject): string {
  return object.metadata?.namespace ?? "default";
}

export function isPolicy(object: KubernetesObject): boolean {
  return object.kind === "ResiliencePolicy" && groupOf(object.apiVersion ?? "") === FAIRLEAD_GROUP;
}

function mapIn<T>(maps: Map<string, Map<string, T>>, key: string): Map<string, T> {
  const found = maps.get(key) ?? new Map<string, T>();
  maps.set(key, found);
  return found;
}
