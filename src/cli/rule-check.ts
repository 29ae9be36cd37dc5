import type { Finding } from "../core/finding.ts";
import type { WorldDefaults } from "../core/world.ts";
import { compileException } from "../core/rules/compile-exception.ts";
import { UsageError } from "../usage-error.ts";
import { compileAnyRule, isException, isRule } from "./file-rules.ts";
import { FileWorld } from "./file-world.ts";
import type { InputObject } from "./input.ts";
import { judgementOf } from "./review.ts";
import { isValidatingAdmissionPolicy } from "../core/rules/compile-vap.ts";

/**
 * Throws a UsageError with file and line of everything for which a cluster would refuse the rules and exceptions of the
 * input: without them the verdicts on the rest would be worth nothing. Returns what is only to be warned about.
 */
export function checkRules(input: readonly InputObject[], defaults: WorldDefaults, nowMs: number): readonly string[] {
  const subjects = input.filter(({ object }) => isRule(object) || isException(object));
  if (subjects.length === 0) return [];
  const world = new FileWorld(
    input.map(({ object }) => object),
    defaults,
  );
  const found = subjects.flatMap((item) =>
    hasEnded(item, nowMs)
      ? [{ isDenied: false, text: lineText(item, ENDED) }]
      : findingsOf(item, world, nowMs).map((one) => ({ isDenied: one.severity === "deny", text: lineText(item, one) })),
  );
  const denied = found.filter(({ isDenied }) => isDenied);
  if (denied.length > 0) throw new UsageError(denied.map(({ text }) => text).join("\n"));
  return found.map(({ text }) => text);
}

type Told = Pick<Finding, "path" | "message" | "fix" | "excerpt">;

const ENDED: Told = {
  path: "spec.expiresAt",
  message: "The exception has ended, so it exempts nothing",
  fix: "remove it, or renew it",
};

/** One that has ended is refused where it is written, and does no harm where it lies in a file. */
function hasEnded({ object }: InputObject, nowMs: number): boolean {
  const exception = isException(object) ? compileException(object).exception : undefined;
  return exception !== undefined && exception.expiresAtMs <= nowMs;
}

function findingsOf({ object }: InputObject, world: FileWorld, nowMs: number): readonly Finding[] {
  if (!isValidatingAdmissionPolicy(object)) return judgementOf({ object, oldObject: undefined, nowMs }, world).findings;
  return compileAnyRule(object, { kinds: world, excludedNamespaces: world.defaults.excludedNamespaces }).findings;
}

function lineText({ object, file, lineOf }: InputObject, { path, message, fix, excerpt }: Told): string {
  const head = `${file}:${lineOf(path)}: ${object.kind} ${object.metadata?.name ?? ""}`;
  const text = `${head}: ${path === "" ? "" : `${path}: `}${message}; ${fix}`;
  return excerpt === undefined ? text : `${text}\n${excerpt}`;
}
