import { contextOf } from "../admission/decide-target.ts";
import type { AdmissionRequest } from "../admission/review.ts";
import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { meshOf } from "../mesh/all.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import { targetKindOf } from "../names.ts";
import type { World } from "../world.ts";
import { type Budget, lazyRecord } from "./cel/cel.ts";
import { CelError, type Value } from "./cel/values.ts";
import { type Effect, effectOn, meshShown, noEffect } from "./in-effect.ts";
import { type Matchable, resourceOf } from "./match.ts";
import type { CompiledRule, NamedProgram } from "./rule.ts";

type Json = Readonly<Record<string, unknown>>;

/** One write that rules judge. */
export interface Subject {
  readonly request: AdmissionRequest;
  readonly object: KubernetesObject;
  /** Undefined where the write creates the object. */
  readonly oldObject: KubernetesObject | undefined;
  readonly world: World;
}

/** What expressions read. One for all rules on a subject: what is dear is computed when the first of them reads it. */
export interface Activation extends Matchable {
  readonly subject: Subject;
  readonly inputs: Json;
  /** Puts `params` and `variables` of one rule in place of those of the one before. Tells why there are no params. */
  bind(rule: CompiledRule, budget: Budget): string | undefined;
}

const NOTHING: Json = Object.freeze({});
const NOBODY: Json = Object.freeze({ username: "", groups: Object.freeze([]) });

export function activationFor(subject: Subject): Activation {
  const { request, object, oldObject, world } = subject;
  const effect = once(() => effectOf(subject));
  const inputs = {
    object,
    // Null, as a ValidatingAdmissionPolicy has it.
    oldObject: oldObject ?? null,
    params: null as unknown,
    variables: NOTHING,
    get request() {
      return request.attributes ?? attributesOf(request);
    },
    get namespaceObject() {
      const known = world.namespaceObject(request.namespace);
      if (known === undefined) throw new CelError(`namespace ${request.namespace} is not known`);
      return known;
    },
    get effective() {
      return effect().effective;
    },
    get policies() {
      return effect().policies;
    },
    get mesh() {
      return effect().mesh;
    },
  };
  const bind = (rule: CompiledRule, budget: Budget): string | undefined => {
    inputs.variables = rule.variables.length === 0 ? NOTHING : variablesOf(rule.variables, inputs, budget);
    const { params } = rule;
    inputs.params = params.kind === "inline" ? params.values : null;
    if (params.kind !== "configMap") return undefined;
    const found = world.paramsConfigMap(params.name);
    if (found === undefined) return `params: ConfigMap ${params.name} does not exist in Fairlead's namespace`;
    inputs.params = found;
    return undefined;
  };
  return { subject, request, resource: resourceOf(request), world, inputs, bind };
}

function once<T>(compute: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: compute() }).value;
}

function effectOf({ request, object, oldObject, world }: Subject): Effect {
  const kind = targetKindOf(request.kind.group, request.kind.kind);
  if (kind !== undefined) return effectOn(contextOf({ request, object, kind }, world), oldObject);
  const namespace = world.namespace(request.namespace);
  return noEffect(meshShown(meshOf(namespace, world.defaults), meshVersionIn(namespace, world), false));
}

/** Each is evaluated when it is first read; its error, worded as the API server does, is that of whoever reads it. */
function variablesOf(variables: readonly NamedProgram[], inputs: Json, budget: Budget): Json {
  const members = variables.map(({ name, program }): readonly [string, () => Value] => [
    name,
    () => {
      const { value, error } = program.run(inputs, budget);
      if (error === undefined) return value;
      throw new CelError(`composited variable "${name}" fails to evaluate: ${error.message}`, error.fatal);
    },
  ]);
  return lazyRecord(Object.fromEntries(members));
}

/** As the API server would have sent it; what is not known is empty. */
export function attributesOf(request: AdmissionRequest): Json {
  const { uid, namespace, name, operation, object } = request;
  const { group, kind } = request.kind;
  const { apiVersion = "" } = object ?? {};
  const version = groupOf(apiVersion) === "" ? apiVersion : apiVersion.slice(apiVersion.indexOf("/") + 1);
  const ofKind = { group, version, kind };
  const ofResource = { ...resourceOf(request), version };
  return {
    uid,
    kind: ofKind,
    resource: ofResource,
    requestKind: ofKind,
    requestResource: ofResource,
    ...(name !== "" && { name }),
    namespace,
    operation,
    userInfo: NOBODY,
    dryRun: false,
    options: NOTHING,
  };
}
