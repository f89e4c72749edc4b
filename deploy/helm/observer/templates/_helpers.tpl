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
