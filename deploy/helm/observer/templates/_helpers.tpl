{{- define "observer.name" -}}
{{- if contains "observer" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-observer" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "observer.selector" -}}
app.kubernetes.io/name: observer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "observer.labels" -}}
{{ include "observer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* observer.yaml: what the chart decides, then what the reader added. */}}
{{- define "observer.config" -}}
store:
  url: {{ .Values.store.url | quote }}
  database: {{ .Values.store.database | quote }}
  user: {{ .Values.store.user | quote }}
{{- if .Values.store.passwordSecret.name }}
  password_file: /etc/observer/password/{{ .Values.store.passwordSecret.key }}
{{- end }}
{{- if .Values.store.caSecret.name }}
  ca_file: /etc/observer/ca/{{ .Values.store.caSecret.key }}
{{- end }}
kubernetes:
  api: {{ .Values.kubernetes.api | quote }}
{{- if .Values.kubernetes.cluster }}
  cluster: {{ .Values.kubernetes.cluster | quote }}
{{- end }}
metrics:
  listen: {{ printf "%s:%d" (ternary "0.0.0.0" "127.0.0.1" (or .Values.metrics.expose (not .Values.hostNetwork))) (int .Values.metrics.port) | quote }}
{{- if .Values.policy }}
policy:
  file: /etc/observer/config/policy.yaml
{{- end }}
{{- if .Values.rules }}
rules:
  files:
{{- range $file, $text := .Values.rules }}
    - /etc/observer/config/rules-{{ $file }}
{{- end }}
{{- end }}
log:
  level: {{ .Values.logLevel }}
  format: json
state_dir: /var/lib/observer
run_dir: /run/observer
{{- if .Values.config }}
{{ toYaml .Values.config }}
{{- end }}
{{- end }}

{{- define "observer.probe" -}}
httpGet:
  path: /healthz
  port: {{ .Values.metrics.port }}
  {{- if and .Values.hostNetwork (not .Values.metrics.expose) }}
  host: 127.0.0.1
  {{- end }}
{{- end }}

{{/* Not the selector's labels: a job is no pod of the DaemonSet or of its Service. */}}
{{- define "observer.inventoryLabels" -}}
app.kubernetes.io/name: observer-inventory
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "observer.inventoryConfig" -}}
store:
  url: {{ .Values.store.url | quote }}
  database: {{ .Values.store.database | quote }}
  user: {{ .Values.inventory.user | quote }}
{{- if .Values.inventory.passwordSecret.name }}
  password_file: /etc/observer/password/{{ .Values.inventory.passwordSecret.key }}
{{- end }}
{{- if .Values.store.caSecret.name }}
  ca_file: /etc/observer/ca/{{ .Values.store.caSecret.key }}
{{- end }}
kubernetes:
  cluster: {{ .Values.kubernetes.cluster | quote }}
{{- end }}
