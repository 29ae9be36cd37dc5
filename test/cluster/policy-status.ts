import { expect } from "vitest";
import type { ResiliencePolicyStatus } from "../../src/api/v1alpha1/resilience-policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import type { Session } from "./session.ts";

const POLICIES = { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies" };

export type PolicyObject = KubernetesObject & { readonly status?: ResiliencePolicyStatus };

/** What a condition says when all is well; the revision is written as `REVISION`. */
export const WELL = {
  Accepted: "True Accepted: The policy can be applied",
  Ready: "True AllTargetsUpdated: 1 of 1 target has revision REVISION",
  Failed: "False NoFailures: No write has failed",
  TargetServiceNotFound: "False TargetsFound: Every named target exists",
  Conflicted: "False NoConflicts: No other policy goes before this one",
};
export type Conditions = Readonly<Record<keyof typeof WELL, string>>;

/** `status reason: message` by type, with each revision as `REVISION`; empty while the status is of an earlier spec. */
export function conditionsOf({ metadata, status }: PolicyObject): Readonly<Record<string, string>> {
  const conditions = status?.conditions ?? [];
  if (conditions.some((condition) => condition.observedGeneration !== metadata?.generation)) return {};
  return Object.fromEntries(
    conditions.map(({ type, status, reason, message }) => [
      type,
      `${status} ${reason}: ${message.replaceAll(/\b[0-9a-f]{12}\b/g, "REVISION")}`,
    ]),
  );
}

/** The policies of a session, as their status tells about them. */
export class Policies {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  read(namespace: string, name = "p"): Promise<PolicyObject> {
    return this.#session.client.get(resourcePath({ ...POLICIES, namespace, name }));
  }

  /** Waits until the five conditions are these; those that are not given say that all is well. */
  async expect(at: string, differing: Partial<Conditions> = {}): Promise<ResiliencePolicyStatus> {
    const [namespace = "", name] = at.split("/");
    const wanted = { ...WELL, ...differing };
    let policy: PolicyObject = {};
    const isTold = async (): Promise<boolean> => {
      policy = await this.read(namespace, name);
      const told = conditionsOf(policy);
      return Object.entries(wanted).every(([type, text]) => told[type] === text);
    };
    // What is not told in the end is shown beside what is.
    await waitFor(`the status of ${at}`, isTold, { timeoutMs: 15_000 }).catch(() => undefined);
    expect(conditionsOf(policy), at).toEqual(wanted);
    return policy.status ?? {};
  }
}

interface EventObject {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** `type reason kind/name: message` of every Event of a namespace, as kubectl shows them; revisions as `REVISION`. */
export async function eventsIn(session: Session, namespace: string): Promise<readonly string[]> {
  const { stdout } = await session.kubectl(`get events -n ${namespace} -o json`);
  const { items } = JSON.parse(stdout) as { readonly items: readonly EventObject[] };
  return items.map(({ type, reason, message, involvedObject: { kind, name } }) =>
    `${type} ${reason} ${kind}/${name}: ${message}`.replaceAll(/\b[0-9a-f]{12}\b/g, "REVISION"),
  );
}

/** Waits for an Event with exactly this text. */
export async function expectEvent(session: Session, namespace: string, text: string): Promise<void> {
  let seen: readonly string[] = [];
  const isThere = async (): Promise<boolean> => {
    seen = await eventsIn(session, namespace);
    return seen.includes(text);
  };
  await waitFor("an Event", isThere, { timeoutMs: 15_000, intervalMs: 200 }).catch(() => undefined);
  expect(seen).toContain(text);
}
