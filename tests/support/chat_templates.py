"""Chat templates of models that reason: what of them concerns reasoning, word for word.

Tools, images and long system messages are left out. A template is a text that comes with a model's
file; these are of models under Apache-2.0 or MIT licences, as published with them.
"""

# ruff: noqa: E501, RUF001

from typing import Final

QWEN3: Final = """\
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system") %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

DEEPSEEK_R1: Final = """\
{{bos_token}}
{%- for message in messages -%}
  {%- if message['role'] == 'user' -%}{{'<｜User｜>' + message['content']}}
  {%- endif -%}
  {%- if message['role'] == 'assistant' and message['content'] is not none -%}
      {%- set content = message['content'] -%}
      {%- if '</think>' in content -%}
        {%- set content = content.split('</think>')[-1] -%}
      {%- endif -%}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<｜Assistant｜><think>\\n'}}
{%- endif %}"""

DEEPSEEK_V31: Final = """\
{%- if not thinking is defined -%}
  {%- set thinking = false -%}
{%- endif -%}{{bos_token}}
{%- for message in messages -%}
  {%- if message['role'] == 'user' -%}{{'<｜User｜>' + message['content']}}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}{{'<｜Assistant｜></think>'}}
      {%- set content = message['content'] -%}
      {%- if '</think>' in content -%}
        {%- set content = content.split('</think>', 1)[1] -%}
      {%- endif -%}{{content + '<｜end▁of▁sentence｜>'}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<｜Assistant｜>'}}
  {%- if not thinking -%}{{'</think>'}}
  {%- else -%}{{'<think>'}}
  {%- endif -%}
{%- endif -%}"""

SMOLLM3: Final = """\
{%- if enable_thinking is not defined -%}
    {%- set enable_thinking = true -%}
{%- endif -%}
{%- if enable_thinking -%}
    {%- set reasoning_mode = "/think" -%}
{%- else -%}
    {%- set reasoning_mode = "/no_think" -%}
{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{{- "Reasoning Mode: " + reasoning_mode + "\\n\\n" -}}
{{- "<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if reasoning_mode == "/think" -%}
        {{ "<|im_start|>assistant\\n" }}
    {%- else -%}
        {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}
    {%- endif -%}
{%- endif -%}"""

GRANITE33: Final = """\
{%- if thinking %}
    {%- set system_message = "You are a helpful AI assistant.
Respond to every user query in a comprehensive and detailed way. You can write down your thoughts \
and reasoning process before responding. Write your thoughts between <think></think> and write \
your response between <response></response> for each user query." %}
{%- else %}
    {%- set system_message = "You are a helpful AI assistant." %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>
' }}
{%- for message in messages %}
    {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>
' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"""

GLM46: Final = """\
[gMASK]<sop>
{%- for m in messages -%}
{%- if m.role == 'user' -%}<|user|>
{{ m.content }}
{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not m.content.endswith("/nothink")) else '' -}}
{%- elif m.role == 'assistant' -%}
<|assistant|>
{%- set content = m.content %}
{%- if '</think>' in content %}
    {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{{ '\\n<think></think>' }}
{{ content.strip() }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    <|assistant|>{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}
{%- endif -%}"""

NEMOTRON3: Final = """\
{%- set enable_thinking = enable_thinking if enable_thinking is defined else True %}
{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {{- '<|im_start|>assistant\\n<think></think>' ~ message.content ~ '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {%- if enable_thinking %}
        {{- '<|im_start|>assistant\\n<think>\\n' }}
    {%- else %}
        {{- '<|im_start|>assistant\\n<think></think>' }}
    {%- endif %}
{%- endif %}"""

SEED_OSS: Final = """\
{%- set bos_token              = '<seed:bos>'               -%}
{%- set eos_token              = '<seed:eos>'               -%}
{%- set think_begin_token      = '<seed:think>'             -%}
{%- set think_end_token        = '</seed:think>'            -%}
{%- set budget_begin_token     = '<seed:cot_budget_reflect>'-%}
{%- set budget_end_token       = '</seed:cot_budget_reflect>'-%}
{%- if not thinking_budget is defined %}
{%- set thinking_budget = -1 -%}
{%- endif -%}
{%- for message in messages %}
{%- if message.role in ["user", "system"] %}
{{ bos_token + message.role + "\\n" + message.content + eos_token }}
{%- elif message.role == "assistant" %}
{{ bos_token + message.role }}
{{ "\\n" + message.content | trim + eos_token }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{ bos_token+"assistant\\n" }}
{%- if thinking_budget == 0 %}
{{ think_begin_token + "\\n" + budget_begin_token + "The current thinking budget is 0, so I will \
directly start answering the question." + budget_end_token + "\\n" + think_end_token }}
{%- endif %}
{%- endif %}"""

MINISTRAL3: Final = """\
{%- set default_system_message = '# HOW YOU SHOULD THINK AND ANSWER\\n\\nFirst draft your thinking \
process (inner monologue) until you arrive at a response. Your thinking process must follow the \
template below:[THINK]Your thoughts or/and draft, like working through an exercise on scratch \
paper.[/THINK]Here, provide a self-contained response.' %}
{{- bos_token }}
{%- if messages[0]['role'] != 'system' %}
    {{- '[SYSTEM_PROMPT]' + default_system_message + '[/SYSTEM_PROMPT]' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {{- '[INST]' + message['content'] + '[/INST]' }}
    {%- elif message['role'] == 'system' %}
        {{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- message['content'] }}
        {{- eos_token }}
    {%- endif %}
{%- endfor %}"""

COMMAND_R7B: Final = """\
{%- for message in messages -%}
{%- if message.role|lower == 'user' -%}
<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{{ message.content }}<|END_OF_TURN_TOKEN|>
{%- elif message.role|lower == 'assistant' -%}
<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>{{message.content}}<|END_RESPONSE|><|END_OF_TURN_TOKEN|>
{%- endif -%}
{%- endfor -%}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{%- if not enable_thinking -%}<|START_THINKING|><|END_THINKING|>{%- endif %}"""

GEMMA4: Final = """\
{{- bos_token -}}
{%- if enable_thinking is defined and enable_thinking -%}
    {{- '<|turn>system\\n' -}}
    {{- '<|think|>\\n' -}}
    {{- '<turn|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' -}}
    {{- message['content'] -}}
    {{- '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
    {%- if not enable_thinking | default(false) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}
{%- endif -%}"""

GPT_OSS: Final = """\
{%- if reasoning_effort is not defined %}
    {%- set reasoning_effort = "medium" %}
{%- endif %}
{{- "<|start|>system<|message|>" }}
{{- "Reasoning: " + reasoning_effort + "\\n\\n" }}
{{- "# Valid channels: analysis, commentary, final. Channel must be included for every message." }}
{{- "<|end|>" }}
{%- for message in messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "<|channel|>analysis<|message|>" in message.content %}
            {{- raise_exception("You have passed a message containing <|channel|> tags in the content field.") }}
        {%- endif %}
        {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
    {%- elif message.role == 'user' -%}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}"""

HUNYUAN: Final = """\
{%- set HYTK = ':opensource' %}
{%- set think_begin_token = '<think{}>'.format(HYTK) %}
{%- set think_end_token = '</think{}>'.format(HYTK) %}
{%- if not reasoning_effort is defined %}
    {%- set reasoning_effort = 'no_think' %}
{%- elif reasoning_effort not in ['high', 'low', 'no_think'] %}
    {{- raise_exception('reasoning_effort error : ' + reasoning_effort + ', should be no_think/low/high') }}
{%- endif %}
{%- for message in messages %}
{{- '<｜hy_' + message.role + '｜>' + message.content }}
{%- endfor %}
{%- if add_generation_prompt %}
        {%- if reasoning_effort is defined and reasoning_effort in ['low', 'high'] %}
            {{- '<｜hy_Assistant｜>' + think_begin_token }}
        {%- elif reasoning_effort is defined and reasoning_effort == 'no_think' %}
            {{- '<｜hy_Assistant｜>' + think_begin_token + think_end_token }}
        {%- endif %}
{%- endif %}"""

APRIEL: Final = """\
{%- set reasoning_asst_turn_start = 'Here are my reasoning steps:\\n' -%}
{{ '<|begin_system|>\\nAfter completing your reasoning, provide the final response after a line with \
[BEGIN FINAL RESPONSE].\\n' }}
{%- for message in messages -%}
    {%- if message['role'] == 'user' -%}
        {{ '<|begin_user|>\\n' + message['content'] }}
    {%- elif message['role'] == 'assistant' -%}
        {{ '<|begin_assistant|>\\n' + message['content'] + '\\n<|end|>\\n' }}
    {%- endif -%}
    {%- if loop.last and add_generation_prompt and message['role'] != 'assistant' -%}
        {{ '\\n<|begin_assistant|>\\n' + reasoning_asst_turn_start }}
    {%- endif -%}
{%- endfor -%}"""

QWEN25: Final = """\
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
