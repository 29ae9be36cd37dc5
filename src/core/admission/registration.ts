import {
  CORE_GROUP,
  EXCLUDED_NAMESPACES,
  FAIRLEAD_GROUP,
  GATEWAY_GROUP,
  LINKERD_POLICY_GROUP,
  MODE_LABEL,
  NAMESPACE_NAME_LABEL,
} from "../names.ts";

/** Name of both webhook configurations. */
export const REGISTRATION_NAME = "fairlead";

/** The API server gives up after this time and applies the failure policy; a review takes milliseconds. */
export const TIMEOUT_SECONDS = 3;

/**
 * Lets finalizers and metadata of what is ours change while the webhook is dead; without it a namespace hangs in
 * Terminating. Both objects have a spec: the CRD requires it, and the schema is checked before validating webhooks.
 */
const SPEC_CHANGES = 'request.operation == "CREATE" || object.spec != oldObject.spec';

export type FailurePolicy = "Ignore" | "Fail";

/** Where the API server finds Fairlead: a URL without path (development), or a Service. */
export type WebhookEndpoint =
  | { readonly url: string }
  | { readonly service: { readonly name: string; readonly namespace: string; readonly port: number } };

export interface RegistrationOptions {
  readonly clientConfig: WebhookEndpoint;
  readonly paths: { readonly mutate: string; readonly validate: string };
  /** PEM certificates in base64; absent in manifests, where the controller fills it in. */
  readonly caBundle?: string;
  /** Never matched, so that Fairlead cannot stand in its own way. */
  readonly fairleadNamespace: string;
  /** Of the validating webhooks for Services and routes; Ignore unless said. */
  readonly failurePolicy?: { readonly services?: FailurePolicy; readonly routes?: FailurePolicy };
}

export interface WebhookRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly string[];
  readonly resources: readonly string[];
  readonly scope: "Namespaced" | "Cluster";
}

interface LabelRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

export interface Webhook {
  readonly name: string;
  readonly clientConfig: {
    readonly url?: string;
    readonly service?: {
      readonly name: string;
      readonly namespace: string;
      readonly path: string;
      readonly port: number;
    };
    readonly caBundle?: string;
  };
  readonly rules: readonly WebhookRule[];
  readonly namespaceSelector: { readonly matchExpressions: readonly LabelRequirement[] };
  /** Absent, as when it is empty: every object. */
  readonly objectSelector?: { readonly matchExpressions?: readonly LabelRequirement[] };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly failurePolicy: FailurePolicy;
  readonly reinvocationPolicy?: "IfNeeded";
  readonly matchPolicy: "Equivalent";
  readonly sideEffects: "None";
  readonly timeoutSeconds: number;
  readonly admissionReviewVersions: readonly ["v1"];
}

export interface WebhookConfiguration {
  readonly apiVersion: "admissionregistration.k8s.io/v1";
  readonly kind: "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration";
  readonly metadata: { readonly name: string };
  readonly webhooks: readonly Webhook[];
}

export function mutatingWebhookConfiguration(options: RegistrationOptions): WebhookConfiguration {
  const shared = { options, path: options.paths.mutate, failurePolicy: "Ignore" } as const;
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: REGISTRATION_NAME },
    webhooks: [
      webhook({ ...shared, name: "services.inject.fairlead.dev", rules: SERVICE_RULES, reinvoked: true }),
      webhook({ ...shared, name: "routes.inject.fairlead.dev", rules: ROUTE_RULES, reinvoked: true }),
    ],
  };
}

export function validatingWebhookConfiguration(options: RegistrationOptions): WebhookConfiguration {
  const shared = { options, path: options.paths.validate };
  const { services = "Ignore", routes = "Ignore" } = options.failurePolicy ?? {};
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: REGISTRATION_NAME },
    webhooks: [
      ...OWN_KINDS.map(({ name, rules }) =>
        webhook({
          ...shared,
          name,
          rules,
          failurePolicy: "Fail",
          everyNamespace: true,
          matchConditions: [{ name: "spec-changes", expression: SPEC_CHANGES }],
        }),
      ),
      webhook({ ...shared, name: "services.fairlead.dev", rules: SERVICE_RULES, failurePolicy: services }),
      webhook({ ...shared, name: "routes.fairlead.dev", rules: ROUTE_RULES, failurePolicy: routes }),
    ],
  };
}

const SERVICE_RULES = [rule(CORE_GROUP, ["v1"], ["services"])];
/** Every version, so that a version that is only stored or newly served cannot pass by. */
const ROUTE_RULES = [
  rule(GATEWAY_GROUP, ["*"], ["httproutes", "grpcroutes"]),
  rule(LINKERD_POLICY_GROUP, ["*"], ["httproutes"]),
];
/** What people write for Fairlead. Each has an entry of its own, so that each is its own line in the API server's metrics. */
const OWN_KINDS = [
  { name: "policies.fairlead.dev", rules: [rule(FAIRLEAD_GROUP, ["v1alpha1"], ["resiliencepolicies"])] },
  {
    name: "admission-rules.fairlead.dev",
    rules: [{ ...rule(FAIRLEAD_GROUP, ["v1alpha1"], ["admissionrules"]), scope: "Cluster" as const }],
  },
  { name: "rule-exceptions.fairlead.dev", rules: [rule(FAIRLEAD_GROUP, ["v1alpha1"], ["ruleexceptions"])] },
];

/** No DELETE: nothing of ours may keep an object from going. No subresources: status is not what is reviewed. */
function rule(group: string, apiVersions: readonly string[], resources: readonly string[]): WebhookRule {
  return { apiGroups: [group], apiVersions, operations: ["CREATE", "UPDATE"], resources, scope: "Namespaced" };
}

interface WebhookInput {
  readonly options: RegistrationOptions;
  readonly name: string;
  readonly path: string;
  readonly rules: readonly WebhookRule[];
  readonly failurePolicy: FailurePolicy;
  readonly everyNamespace?: boolean;
  readonly reinvoked?: boolean;
  readonly matchConditions?: Webhook["matchConditions"];
}

function webhook(input: WebhookInput): Webhook {
  const {
    options,
    name,
    path,
    rules,
    failurePolicy,
    everyNamespace = false,
    reinvoked = false,
    matchConditions,
  } = input;
  return {
    name,
    clientConfig: clientConfig(options, path),
    rules,
    namespaceSelector: {
      matchExpressions: namespaceSelector([...EXCLUDED_NAMESPACES, options.fairleadNamespace], everyNamespace),
    },
    ...(matchConditions === undefined ? {} : { matchConditions }),
    failurePolicy,
    ...(reinvoked ? { reinvocationPolicy: "IfNeeded" as const } : {}),
    matchPolicy: "Equivalent",
    sideEffects: "None",
    timeoutSeconds: TIMEOUT_SECONDS,
    admissionReviewVersions: ["v1"],
  };
}

function clientConfig(options: RegistrationOptions, path: string): Webhook["clientConfig"] {
  const bundle = options.caBundle === undefined ? {} : { caBundle: options.caBundle };
  const endpoint = options.clientConfig;
  if ("url" in endpoint) return { url: `${endpoint.url.replace(/\/+$/, "")}${path}`, ...bundle };
  const { name, namespace, port } = endpoint.service;
  return { service: { name, namespace, path, port }, ...bundle };
}

/** Which namespaces are asked about: those that opted in, or every one, without those that are never matched. */
export function namespaceSelector(never: Iterable<string>, everyNamespace = false): readonly LabelRequirement[] {
  const notExcluded: LabelRequirement = { key: NAMESPACE_NAME_LABEL, operator: "NotIn", values: [...new Set(never)] };
  return everyNamespace ? [notExcluded] : [{ key: MODE_LABEL, operator: "Exists" }, notExcluded];
}
