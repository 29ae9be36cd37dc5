import type { Finding } from "../finding.ts";
import type { GroupKind, KubernetesObject } from "../kubernetes.ts";
import type { Mode } from "../names.ts";

export type Operation = "CREATE" | "UPDATE" | "DELETE" | "CONNECT";

/**
 * Which door asks. `mutate` wants a patch; `validate` what mesh and policies make of the object that will be stored;
 * the two others what the rules with that failure policy say. They have webhooks of their own, so that a rule can
 * neither widen nor narrow what is injected.
 */
export const PHASES = ["mutate", "validate", "rules-fail", "rules-ignore"] as const;
export type Phase = (typeof PHASES)[number];

/** The part of an `admission.k8s.io/v1` AdmissionRequest that decisions depend on. */
export interface AdmissionRequest {
  readonly phase: Phase;
  /** When it is decided, in milliseconds since 1970: exceptions end by it. Nothing else depends on the time. */
  readonly nowMs: number;
  readonly uid: string;
  readonly kind: GroupKind;
  readonly operation: Operation;
  readonly namespace: string;
  /** Empty when the API server is to generate the name. */
  readonly name: string;
  readonly object: KubernetesObject | undefined;
  readonly oldObject: KubernetesObject | undefined;
  /**
   * The request as the API server sent it, which is what `request` means in a rule. Absent where nobody sent one (files,
   * the audit): rules then see one that is made of the fields above.
   */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** One operation of RFC 6902; paths are JSON pointers with `~1` for `/`. */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/**
 * The answer to one request. In the mutating phase `allowed` is true and findings are only those that the patch
 * makes invisible afterwards; in the validating phase there is no patch.
 */
export interface Verdict {
  readonly allowed: boolean;
  readonly patch: readonly PatchOperation[];
  /** Sorted by path, then code. In warn and audit mode findings keep the severity `deny`. */
  readonly findings: readonly Finding[];
  /** One line each, at most 200 characters; what kubectl shows. */
  readonly warnings: readonly string[];
  /** The text of a denial, several lines; empty when allowed. */
  readonly message: string;
  /** Mode of the namespace; undefined where none applies. A label of the metrics. */
  readonly mode: Mode | undefined;
  /** HTTP reason of the denial, as the author of a rule wants it; `Forbidden` where absent. */
  readonly reason?: string;
  /** For the audit log of the API server. Keys are `<rule>.<key>`: it puts the name of the webhook and a slash before. */
  readonly auditAnnotations?: Readonly<Record<string, string>>;
  /** What became of each rule that applied, for the metrics; absent where no rule was asked. */
  readonly rules?: readonly RuleResult[];
}

export interface RuleResult {
  readonly rule: string;
  /**
   * `unmatched`: the rule does not apply. `tolerated`: violated, as it was before the write. `excepted`: violated, and an
   * exception lets it pass. `error`: some of it could not be evaluated, and the failure policy decided.
   */
  readonly outcome: "unmatched" | "passed" | "violated" | "tolerated" | "excepted" | "error";
  /** Name of the exception that the write leans on. */
  readonly exception?: string;
  /** In the units of cel-go. */
  readonly cost: number;
}

export const ALLOWED: Verdict = Object.freeze({
  allowed: true,
  patch: Object.freeze([]),
  findings: Object.freeze([]),
  warnings: Object.freeze([]),
  message: "",
  mode: undefined,
});
