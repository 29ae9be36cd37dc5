import type { Environment } from "./cel/environment.ts";
import { DYN } from "./cel/type-text.ts";
import type { Type } from "./cel/types.ts";
import { EFFECTIVE, MESH, POLICIES } from "./effective.ts";
import { kubernetesLibraries } from "./library/all.ts";
import { shapeSize, shapeType } from "./schema-types.ts";
import type { Shape } from "./schema-shape.ts";
import { ADMISSION_REQUEST, NAMESPACE } from "./schemas/admission.ts";

/** Where in a rule an expression stands: conditions read neither variables nor what is worked out from the world. */
export type Place = "condition" | "body";

/** What expressions see of one matched kind. */
export interface ScopeOptions {
  /** As messages name the object; empty where nothing is known of it. */
  readonly kind: string;
  readonly object: Shape;
  /** Undefined: the rule has no params, and naming them is an error. */
  readonly params: Shape | undefined;
  /** Only the names that the API server has as well: no effective, policies and mesh. */
  readonly isPlain?: boolean;
}

type Types = Readonly<Record<string, Type>>;

/** What no in-process policy can see. Their times are durations when an expression runs. */
const OWN_VARIABLES: Types = {
  effective: shapeType(EFFECTIVE, "effective"),
  policies: shapeType(POLICIES, "policies"),
  mesh: shapeType(MESH, "mesh"),
};
const LIBRARIES = kubernetesLibraries("1.36");

/** The names that expressions may use where objects are of one kind, with their types. */
export class RuleScope {
  readonly kind: string;
  readonly #shapes: Readonly<Record<string, Shape>>;
  readonly #variables = new Map<string, Type>();
  readonly #environments: Readonly<Record<Place, readonly Environment[]>>;

  constructor({ kind, object, params, isPlain = false }: ScopeOptions) {
    this.kind = kind;
    const shapes = {
      object,
      oldObject: object,
      request: ADMISSION_REQUEST,
      namespaceObject: NAMESPACE,
      ...(params === undefined ? {} : { params }),
    };
    this.#shapes = { ...shapes, effective: EFFECTIVE, policies: POLICIES, mesh: MESH };
    const own = isPlain ? {} : OWN_VARIABLES;
    const environments = [true, false].map((asText) => this.#environmentsOf(shapes, { asText, own }));
    this.#environments = {
      condition: environments.map(({ condition }) => condition),
      body: environments.map(({ body }) => body),
    };
  }

  /**
   * What an expression must compile in. First as it is when it runs, where a date in an object is the text that JSON
   * has; then as Kubernetes types it when it checks a ValidatingAdmissionPolicy, where it is a timestamp.
   */
  environments(place: Place): readonly Environment[] {
    return this.#environments[place];
  }

  /** From now on expressions may read `variables.name`. */
  declare(name: string, type: Type): void {
    this.#variables.set(name, type);
  }

  /** The most items or characters at a path, for estimates. */
  sizeAt([root = "", ...rest]: readonly string[]): number | undefined {
    const shape = Object.hasOwn(this.#shapes, root) ? this.#shapes[root] : undefined;
    return shape === undefined ? undefined : shapeSize(shape, rest);
  }

  #environmentsOf(
    shapes: Readonly<Record<string, Shape>>,
    { asText, own }: { readonly asText: boolean; readonly own: Types },
  ): Readonly<Record<Place, Environment>> {
    const variables: Record<string, Type> = {};
    for (const [name, shape] of Object.entries(shapes)) {
      variables[name] = shape === "dyn" ? DYN : shapeType(shape, this.#nameOf(name), { asText });
    }
    const body = { ...variables, ...own, variables: this.#variablesType() };
    return { condition: environment(variables), body: environment(body) };
  }

  #nameOf(variable: string): string {
    return variable === "object" || variable === "oldObject" ? this.kind : variable;
  }

  /** Those that are declared so far: a rule that reads a later one is refused. */
  #variablesType(): Type {
    return {
      kind: "object",
      name: "kubernetes.variables",
      field: (name) => this.#variables.get(name),
      fieldNames: () => [...this.#variables.keys()],
    };
  }
}

function environment(variables: Types): Environment {
  return { variables, libraries: LIBRARIES, typed: true };
}
