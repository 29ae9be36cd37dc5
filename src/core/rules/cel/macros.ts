import type { Comprehension, Expression } from "./ast.ts";
import type { Macro, MacroHelp } from "./library.ts";

export type Call = Expression & { readonly kind: "call" };

/** What a fold keeps its result in: a name that no expression can write, as in cel-go. */
export const ACCUMULATOR = "@result";

/** Builds the nodes of an expansion; all of them stand where the call stands. */
export class Builder {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  get #span(): { start: number; end: number; at: number } {
    const { start, end, at } = this.#call;
    return { start, end, at: at ?? start };
  }

  literal(value: boolean | bigint): Expression {
    return { kind: "literal", value, ...this.#span };
  }

  name(name: string): Expression {
    return { kind: "identifier", name, ...this.#span };
  }

  get accumulator(): Expression {
    return this.name(ACCUMULATOR);
  }

  call(name: string, ...parameters: readonly Expression[]): Expression {
    return { kind: "call", name, target: undefined, arguments: parameters, ...this.#span };
  }

  method(target: Expression, name: string): Expression {
    return { kind: "call", name, target, arguments: [], ...this.#span };
  }

  list(...elements: readonly Expression[]): Expression {
    return { kind: "list", elements: elements.map((value) => ({ value, optional: false })), ...this.#span };
  }

  map(): Expression {
    return { kind: "map", entries: [], ...this.#span };
  }

  /** The step, or the accumulator as it is where the filter says no. */
  filtered(filter: Expression | undefined, step: Expression): Expression {
    return filter === undefined ? step : this.call("_?_:_", filter, step, this.accumulator);
  }

  /** A fold over the target of the call whose result is the accumulator, unless another is given. */
  fold(
    variables: readonly string[],
    parts: Pick<Comprehension, "initial" | "condition" | "step"> & { readonly result?: Expression },
  ): Expression {
    const { target, name } = this.#call;
    const [variable = "", variable2] = variables;
    const result = this.accumulator;
    const range = target ?? this.list();
    return {
      kind: "comprehension",
      range,
      variable,
      variable2,
      accumulator: ACCUMULATOR,
      macro: name,
      ...this.#span,
      result,
      ...parts,
    };
  }

  /** `body` with a name for a value: a fold over nothing, as cel-go writes it. */
  bind(name: string, value: Expression, body: Expression): Expression {
    return {
      kind: "comprehension",
      range: this.list(),
      variable: "#unused",
      variable2: undefined,
      accumulator: name,
      initial: value,
      condition: this.literal(false),
      step: this.name(name),
      result: body,
      macro: this.#call.name,
      ...this.#span,
    };
  }
}

/** The names of the first arguments of a macro, as many as it has variables. Throws a ParseProblem. */
function variablesOf(call: Call, count: number, help: MacroHelp): readonly string[] {
  const names: string[] = [];
  for (const argument of call.arguments.slice(0, count)) {
    if (argument.kind !== "identifier" || argument.name.startsWith(".")) {
      throw help.problem(argument, "argument must be a simple name");
    }
    if (argument.name === "__result__") {
      throw help.problem(argument, "iteration variable overwrites accumulator variable");
    }
    if (names.includes(argument.name)) {
      throw help.problem(argument, `duplicate variable name: ${argument.name}`);
    }
    names.push(argument.name);
  }
  return names;
}

type Expand = (build: Builder, names: readonly string[], rest: readonly [Expression, ...Expression[]]) => Expression;

/** A macro whose first arguments are names; `rest` are the others, at least one. */
function withNames(name: string, shape: { readonly names: number; readonly rest: number }, expand: Expand): Macro {
  return {
    name,
    member: true,
    arity: shape.names + shape.rest,
    expand: (call, help) => {
      const names = variablesOf(call, shape.names, help);
      const [first, ...others] = call.arguments.slice(shape.names);
      return first === undefined ? undefined : expand(new Builder(call), names, [first, ...others]);
    },
  };
}

const all: Expand = (build, names, [predicate]) =>
  build.fold(names, {
    initial: build.literal(true),
    condition: build.call("@not_strictly_false", build.accumulator),
    step: build.call("_&&_", build.accumulator, predicate),
  });

const exists: Expand = (build, names, [predicate]) =>
  build.fold(names, {
    initial: build.literal(false),
    condition: build.call("@not_strictly_false", build.call("!_", build.accumulator)),
    step: build.call("_||_", build.accumulator, predicate),
  });

const existsOne: Expand = (build, names, [predicate]) =>
  build.fold(names, {
    initial: build.literal(0n),
    condition: build.literal(true),
    step: build.filtered(predicate, build.call("_+_", build.accumulator, build.literal(1n))),
    result: build.call("_==_", build.accumulator, build.literal(1n)),
  });

/** `map` and `transformList`: an optional filter, then what to make of each. */
const map: Expand = (build, names, rest) => {
  const filter = rest.length === 2 ? rest[0] : undefined;
  const step = build.call("_+_", build.accumulator, build.list(rest.at(-1) ?? rest[0]));
  const condition = build.literal(true);
  return build.fold(names, { initial: build.list(), condition, step: build.filtered(filter, step) });
};

const filter: Expand = (build, names, [predicate]) => {
  const step = build.call("_+_", build.accumulator, build.list(build.name(names[0] ?? "")));
  const condition = build.literal(true);
  return build.fold(names, { initial: build.list(), condition, step: build.filtered(predicate, step) });
};

/** `transformMap` gives each key a value, `transformMapEntry` a map that is merged into the result. */
function intoMap(keepsKey: boolean): Expand {
  return (build, names, rest) => {
    const filter = rest.length === 2 ? rest[0] : undefined;
    const made = rest.at(-1) ?? rest[0];
    const inserted = keepsKey ? [build.name(names[0] ?? ""), made] : [made];
    const step = build.call("cel.@mapInsert", build.accumulator, ...inserted);
    const condition = build.literal(true);
    return build.fold(names, { initial: build.map(), condition, step: build.filtered(filter, step) });
  };
}

const has: Macro = {
  name: "has",
  member: false,
  arity: 1,
  expand: (call, help) => {
    const [field] = call.arguments;
    if (field?.kind !== "select" || field.optional || field.test) {
      throw help.problem(field ?? call, "invalid argument to has() macro");
    }
    const { start, end, at } = call;
    return { ...field, test: true, start, end, at: at ?? start };
  },
};

/**
 * `optMap` and `optFlatMap`. cel-go writes the target twice, so that a chain of n of them is computed 2^n times; here it
 * gets a name.
 */
function onOptional(name: string, wraps: boolean): Macro {
  return {
    name,
    member: true,
    arity: 2,
    expand: (call, help) => {
      const [variable, body] = call.arguments;
      if (call.target === undefined || body === undefined || variable?.kind !== "identifier") {
        throw help.problem(variable ?? call, `${name}() variable name must be a simple identifier`);
      }
      const build = new Builder(call);
      const target = help.freshName();
      const mapped = build.bind(variable.name, build.method(build.name(target), "value"), body);
      const some = wraps ? build.call("optional.of", mapped) : mapped;
      const has = build.method(build.name(target), "hasValue");
      return build.bind(target, call.target, build.call("_?_:_", has, some, build.call("optional.none")));
    },
  };
}

/** The macros of cel-spec, of optionals, and those with two variables (cel-go's ext.TwoVarComprehensions). */
export const STANDARD_MACROS: readonly Macro[] = [
  has,
  withNames("all", { names: 1, rest: 1 }, all),
  withNames("exists", { names: 1, rest: 1 }, exists),
  withNames("exists_one", { names: 1, rest: 1 }, existsOne),
  withNames("map", { names: 1, rest: 1 }, map),
  withNames("map", { names: 1, rest: 2 }, map),
  withNames("filter", { names: 1, rest: 1 }, filter),
  onOptional("optMap", true),
  onOptional("optFlatMap", false),
  withNames("all", { names: 2, rest: 1 }, all),
  withNames("exists", { names: 2, rest: 1 }, exists),
  withNames("exists_one", { names: 2, rest: 1 }, existsOne),
  withNames("existsOne", { names: 2, rest: 1 }, existsOne),
  withNames("transformList", { names: 2, rest: 1 }, map),
  withNames("transformList", { names: 2, rest: 2 }, map),
  withNames("transformMap", { names: 2, rest: 1 }, intoMap(true)),
  withNames("transformMap", { names: 2, rest: 2 }, intoMap(true)),
  withNames("transformMapEntry", { names: 2, rest: 1 }, intoMap(false)),
  withNames("transformMapEntry", { names: 2, rest: 2 }, intoMap(false)),
];
