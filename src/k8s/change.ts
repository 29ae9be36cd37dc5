import type { TargetKey } from "../core/world.ts";

/** News of the world in memory. */
export interface Change {
  /**
   * `policy`: other settings are in force in the namespace; `policyObject`: a policy was written, be it only its
   * status; `owned`: a stored revision or a companion of a policy came, changed or went; `hostObject`: an object of
   * people that a companion might meet did; `endpoints`: a Service has more or fewer, where a policy depends on that;
   * `podPorts`: a port of a Service has another number on its Pods, where a policy depends on that; `rule`: an
   * AdmissionRule was written, be it only its status, or the ConfigMap that it reads; `exception`: a RuleException was.
   */
  readonly type:
    | "policy"
    | "policyObject"
    | "owned"
    | "namespace"
    | "target"
    | "serviceProfile"
    | "hostObject"
    | "endpoints"
    | "podPorts"
    | "rule"
    | "exception";
  readonly namespace: string;
  /** Only with `target`. */
  readonly key?: TargetKey;
  /** Of the policy; only with `policyObject`. */
  readonly name?: string;
  /** Of the policy; only with `owned`. */
  readonly policyUid?: string;
}
