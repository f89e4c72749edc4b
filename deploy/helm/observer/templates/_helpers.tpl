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

{{/* observer.yaml: what the chart decides, then what the reader added. Blocks that hold some of both are written here; the schema of the
values keeps their keys apart. */}}
{{- define "observer.config" -}}
{{- $config := .Values.config | default dict -}}
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
{{- with $config.store }}
{{ toYaml . | indent 2 }}
{{- end }}
kubernetes:
  api: {{ .Values.kubernetes.api | quote }}
{{- if .Values.kubernetes.cluster }}
  cluster: {{ .Values.kubernetes.cluster | quote }}
{{- end }}
metrics:
  listen: {{ printf "%s:%d" (ternary "0.0.0.0" "127.0.0.1" (or .Values.metrics.expose (not .Values.hostNetwork))) (int .Values.metrics.port) | quote }}
{{- if or .Values.policy .Values.register }}
policy:
{{- if .Values.policy }}
  file: /etc/observer/config/policy.yaml
{{- end }}
{{- if .Values.register }}
  register: /etc/observer/config/register.yaml
{{- end }}
{{- end }}
{{- if or .Values.catalog $config.catalog }}
catalog:
{{- if .Values.catalog }}
  files:
{{- range $file, $text := .Values.catalog }}
    - /etc/observer/config/catalog-{{ $file }}
{{- end }}
{{- end }}
{{- with $config.catalog }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
{{- if or .Values.rules $config.rules }}
rules:
{{- if .Values.rules }}
  files:
{{- range $file, $text := .Values.rules }}
    - /etc/observer/config/rules-{{ $file }}
{{- end }}
{{- end }}
{{- with $config.rules }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
log:
  level: {{ .Values.logLevel }}
  format: json
state_dir: /var/lib/observer
run_dir: /run/observer
{{- with omit $config "store" "catalog" "rules" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the daemon reads at its start only: a change of it starts new pods. Policy and register are read again while it runs. */}}
{{- define "observer.checksum" -}}
{{ printf "%s%s%s" (include "observer.config" .) (toYaml .Values.rules) (toYaml .Values.catalog) | sha256sum }}
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
