import { DYN, ERROR } from "./type-text.ts";
import type { Type } from "./types.ts";

/**
 * What the parameters of the overloads of one expression stand for. An attempt that fails leaves no trace: what it
 * bound is unbound again.
 */
export class Substitutions {
  readonly #bound = new Map<string, Type>();
  readonly #undo: { readonly name: string; readonly before: Type | undefined }[] = [];
  #fresh = 0;

  /** A parameter that nothing else has. */
  freshParameter(): Type {
    return { kind: "parameter", name: `_var${this.#fresh++}` };
  }

  /** Whether a value of the first type may stand where the second is wanted; binds parameters of both. */
  assignable(from: Type, to: Type): boolean {
    return this.#attempt(() => this.#assign(from, to));
  }

  allAssignable(from: readonly Type[], to: readonly Type[]): boolean {
    return this.#attempt(() => this.#assignAll(from, to));
  }

  /** The type with its bound parameters replaced; the others become dyn if so asked. */
  resolve(type: Type, rest: "keep" | "dyn"): Type {
    const bound = type.kind === "parameter" ? this.#bound.get(type.name) : undefined;
    if (bound !== undefined) return this.resolve(bound, rest);
    if (type.kind === "parameter") return rest === "dyn" ? DYN : type;
    return mapTypes(type, (inner) => this.resolve(inner, rest));
  }

  #attempt(assign: () => boolean): boolean {
    const mark = this.#undo.length;
    if (assign()) return true;
    for (const { name, before } of this.#undo.splice(mark).toReversed()) {
      if (before === undefined) this.#bound.delete(name);
      else this.#bound.set(name, before);
    }
    return false;
  }

  #bind(name: string, type: Type): void {
    this.#undo.push({ name, before: this.#bound.get(name) });
    this.#bound.set(name, type);
  }

  #assign(from: Type, to: Type): boolean {
    if (to.kind === "parameter") {
      const outcome = this.#substitute(from, to);
      if (outcome !== "free") return outcome === "valid";
    }
    if (from.kind === "parameter") return this.#substitute(to, from) === "valid";
    if (from.kind === "dyn" || to.kind === "dyn") return true;
    if (from.kind === "null") return isNullable(to);
    if (to.kind === "null") return isNullable(from);
    if (from.kind === "type") return to.kind === "type";
    const inner = parameters(from);
    return inner.length === 0 ? sameType(from, to) : from.kind === to.kind && this.#assignAll(inner, parameters(to));
  }

  #assignAll(from: readonly Type[], to: readonly Type[]): boolean {
    if (from.length !== to.length) return false;
    return from.every((type, index) => {
      const other = to[index];
      return other !== undefined && this.#assign(type, other);
    });
  }

  /** Whether the parameter may stand for the type: "bound" if it stands for another, "free" if it occurs in the type. */
  #substitute(type: Type, parameter: Type & { readonly kind: "parameter" }): "valid" | "bound" | "free" {
    if (sameType(type, parameter)) return "valid";
    const bound = this.#bound.get(parameter.name);
    if (bound === undefined) {
      if (!this.#isFree(parameter, type)) return "free";
      this.#bind(parameter.name, type);
      return "valid";
    }
    if (sameType(type, bound)) return "valid";
    if (!this.#assign(type, bound)) return "bound";
    const general = mostGeneral(type, bound);
    if (this.#isFree(parameter, general)) this.#bind(parameter.name, general);
    return "valid";
  }

  /** Whether the parameter occurs nowhere in the type. */
  #isFree(parameter: Type, within: Type): boolean {
    if (sameType(parameter, within)) return false;
    if (within.kind !== "parameter") return parameters(within).every((inner) => this.#isFree(parameter, inner));
    const bound = this.#bound.get(within.name);
    return bound === undefined || this.#isFree(parameter, bound);
  }
}

/** The more general of two types that go together: the one with dyn where the other has more. */
export function mostGeneral(one: Type, other: Type): Type {
  return isLessSpecific(one, other) ? one : other;
}

/** A type with each type in it replaced; the type itself if that changes nothing. */
export function mapTypes(type: Type, replace: (inner: Type) => Type): Type {
  const before = parameters(type);
  const [first = ERROR, second = ERROR] = before.map(replace);
  if (first === before[0] && (before.length < 2 || second === before[1])) return type;
  if (type.kind === "list") return { kind: "list", element: first };
  if (type.kind === "map") return { kind: "map", key: first, value: second };
  return type.kind === "optional" || type.kind === "type" ? { kind: type.kind, of: first } : type;
}

/** The types in a type. */
export function parameters(type: Type): readonly Type[] {
  if (type.kind === "list") return [type.element];
  if (type.kind === "map") return [type.key, type.value];
  return type.kind === "optional" || type.kind === "type" ? [type.of] : [];
}

export function sameType(one: Type, other: Type): boolean {
  if (one === other) return true;
  if (one.kind !== other.kind || one === ERROR || other === ERROR) return false;
  if ("name" in one || "name" in other) return "name" in one && "name" in other && one.name === other.name;
  const inner = parameters(other);
  return parameters(one).every((type, index) => sameType(type, inner[index] ?? ERROR));
}

function isLessSpecific(one: Type, other: Type): boolean {
  if (one === ERROR || other === ERROR) return one === other;
  if (one.kind === "dyn" || one.kind === "parameter") return true;
  if (other.kind === "dyn" || other.kind === "parameter" || one.kind !== other.kind) return false;
  if (one.kind === "type") return true;
  const inner = parameters(other);
  if (inner.length === 0) return sameType(one, other);
  return parameters(one).every((type, index) => isLessSpecific(type, inner[index] ?? ERROR));
}

/** cel-go lets null stand for these, from the days before optionals. */
function isNullable({ kind }: Type): boolean {
  return kind === "null" || ["opaque", "object", "optional", "timestamp", "duration"].includes(kind);
}
