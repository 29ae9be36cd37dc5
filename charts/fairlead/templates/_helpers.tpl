{{/* Labels of every object. */}}
{{- define "fairlead.labels" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What tells the pods of one role. Call with (dict "root" $ "role" "admission"). */}}
{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "fairlead.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Pod settings that both roles share. Call as fairlead.selector. */}}
{{- define "fairlead.pod" -}}
serviceAccountName: fairlead-{{ .role }}
automountServiceAccountToken: true
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
# SIGTERM: 5 s of serving while endpoints forget the pod, at most 5 s for what is under way.
terminationGracePeriodSeconds: 30
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "fairlead.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Flags that both roles share. */}}
{{- define "fairlead.flags" -}}
- --namespace={{ .Release.Namespace }}
- --operations-port=8080
- --log-level={{ .Values.logLevel }}
- --rule-cost-limit={{ int64 .Values.rules.ruleCostLimit }}
- --request-cost-limit={{ int64 .Values.rules.requestCostLimit }}
{{- with .Values.mesh }}
- --mesh={{ . }}
{{- end }}
{{- with .Values.meshVersion }}
- --mesh-version={{ . }}
{{- end }}
{{- with .Values.clusterDomain }}
- --cluster-domain={{ . }}
{{- end }}
{{- end }}

{{/* Image, probes and rights of the container, which both roles share. */}}
{{- define "fairlead.container" -}}
image: {{ include "fairlead.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
# A minute to listen; waiting for certificates or watches is no reason to be killed, only to be unready.
startupProbe:
  httpGet: {path: /livez, port: operations}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: operations}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: operations}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
