import { canonicalJson } from "../intent/revision.ts";
import type { Webhook } from "./registration.ts";
import type { PatchOperation, Phase } from "./review.ts";
import { RULE_WEBHOOKS, type RuleWebhook } from "./rule-webhooks.ts";

/** An entry as the API server holds it: from the chart, from us, or from somebody's hand. */
export interface StoredWebhook {
  readonly name: string;
  readonly clientConfig?: Webhook["clientConfig"];
}

export interface RuleWebhooksInput {
  /** The entries of the validating configuration, in its order. */
  readonly stored: readonly StoredWebhook[];
  readonly wanted: readonly RuleWebhook[];
  /** Path of each door. */
  readonly paths: Readonly<Record<Phase, string>>;
}

export interface RuleWebhooksPlan {
  /** On the configuration, to be carried out on the version that was read. */
  readonly operations: readonly PatchOperation[];
  /** False while no entry beside them carries a CA: an entry without one would refuse every write it matches. */
  readonly complete: boolean;
}

/**
 * Makes the entries of rules what they are to be, and leaves all others alone. They are sent where the entries beside
 * them are sent, under the same CA, so that they work from the moment that they exist.
 */
export function planRuleWebhooks({ stored, wanted, paths }: RuleWebhooksInput): RuleWebhooksPlan {
  const endpoint = stored.find(({ name, clientConfig }) => !isOfRules(name) && clientConfig?.caBundle)?.clientConfig;
  const entries = endpoint === undefined ? [] : wanted.map((entry) => addressed(entry, endpoint, paths));
  const replaced = stored.flatMap((found, index): readonly PatchOperation[] => {
    const entry = entries.find(({ name }) => name === found.name);
    if (entry === undefined || canonicalJson(entry) === canonicalJson(found)) return [];
    return [{ op: "replace", path: `/webhooks/${index}`, value: entry }];
  });
  const removed = stored.flatMap(({ name }, index): readonly PatchOperation[] => {
    const goes = isOfRules(name) && !wanted.some((entry) => entry.name === name);
    return goes ? [{ op: "remove", path: `/webhooks/${index}` }] : [];
  });
  const added = entries
    .filter((entry) => !stored.some(({ name }) => name === entry.name))
    .map((entry): PatchOperation => ({ op: "add", path: "/webhooks/-", value: entry }));
  return {
    // From the end, so that the places of those before stay what they were.
    operations: [...replaced, ...removed.toReversed(), ...added],
    complete: entries.length === wanted.length,
  };
}

export function isOfRules(name: string): boolean {
  return doorOfRules(name) !== undefined;
}

/** The door of an entry of rules; undefined for every other entry. */
export function doorOfRules(name: string): Phase | undefined {
  return RULE_WEBHOOKS.find((entry) => entry.name === name)?.door;
}

function addressed(entry: RuleWebhook, endpoint: Webhook["clientConfig"], paths: RuleWebhooksInput["paths"]): Webhook {
  const path = paths[doorOfRules(entry.name) ?? "rules-fail"];
  const { url, service, caBundle } = endpoint;
  return {
    ...entry,
    clientConfig: {
      ...(url !== undefined && { url: url.replace(/^(https:\/\/[^/]*).*$/, "$1") + path }),
      ...(service !== undefined && { service: { ...service, path } }),
      ...(caBundle !== undefined && { caBundle }),
    },
  };
}
