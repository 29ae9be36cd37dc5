import { stringify } from "yaml";
import type { Certificate } from "./certificates.ts";

export interface KubeconfigOptions {
  readonly url: string;
  readonly caPem: string;
  readonly client: Certificate;
}

/** Writes a kubeconfig that holds its certificates, so that the file can be copied anywhere. */
export function renderKubeconfig(options: KubeconfigOptions): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const name = "fairlead-dev";
  const cluster = { server: options.url, "certificate-authority-data": base64(options.caPem) };
  const user = {
    "client-certificate-data": base64(options.client.certPem),
    "client-key-data": base64(options.client.keyPem),
  };
  return stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name, cluster }],
      users: [{ name, user }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      "current-context": name,
    },
    { lineWidth: 0 },
  );
}
