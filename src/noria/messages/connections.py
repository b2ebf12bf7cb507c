"""What is said of connections and of secrets."""

TEXTS: dict[str, tuple[str, str]] = {
    "secret.env_missing": ("环境变量 {name} 未设置", "the environment variable {name} is not set"),
    "secret.env_hint": ("先执行 export {name}=…，再运行", "set it first: export {name}=…"),
    "secret.file_missing": (
        "无法读取密钥文件 {path}：{reason}",
        "can't read the secret's file {path}: {reason}",
    ),
    "secret.file_hint": ("路径相对于项目目录", "the path is relative to the project's folder"),
    "secret.literal": ("{key} 中直接写了密钥", "{key} holds a secret in plain text"),
    "secret.literal_hint": (
        '改为 "env:{name}" 或 "file:路径"，把密钥放到文件之外',
        'write "env:{name}" or "file:PATH" and keep the secret out of this file',
    ),
    "connection.unknown": ("noria.toml 中没有连接 {name}", "noria.toml has no connection {name}"),
    "connection.unknown_hint": ("已有的连接：{known}", "the connections there: {known}"),
    "connection.no_connector": ("连接 {name} 没有写 connector", "the connection {name} names no connector"),
    "connection.unknown_connector": ("没有名为 {connector} 的连接器", "there is no connector {connector}"),
    "connection.base_url": ("{value} 不是网址", "{value} is not a URL"),
    "connection.base_url_hint": ("写作 https://主机名", "write https://host"),
    "connection.timezone": ("没有时区 {value}", "there is no time zone {value}"),
    "connection.timezone_hint": (
        "使用 IANA 名称，例如 Asia/Shanghai",
        "use an IANA name such as Asia/Shanghai",
    ),
    "connection.auth_incomplete": ("{type} 认证缺少 {key}", "auth of type {type} needs {key}"),
    "connection.auth_hint": (
        "在 [connections.{name}.auth] 中补上 {key}",
        "add {key} to [connections.{name}.auth]",
    ),
    "files.cells": (
        "{name} 第 {line} 行有 {cells} 格，表头只有 {columns} 列",
        "{name}, line {line}: {cells} cells, {columns} columns",
    ),
    "files.changed": (
        "{name} 在读取时变了，从头再读",
        "{name} has changed while it was read; it has to be read from its start again",
    ),
    "files.encoding": ("没有编码 {name}", "there is no encoding {name}"),
    "files.failed": ("文件：{reason}", "the file system: {reason}"),
    "files.kind": ("{name} 的格式不支持；可以是 {kinds}", "{name} is of no known kind; there are {kinds}"),
    "files.long_array": (
        "{name} 超过 {most} MB，整个 JSON 数组放不进内存；请改成 JSONL（每行一个对象），多大都行",
        "{name} is larger than {most} MB, and JSON in one piece has to fit into memory; write JSONL instead (an object a line), of any size",
    ),
    "files.long_line": (
        "{name} 第 {line} 行超过 {most} MB",
        "{name}, line {line}: longer than {most} MB",
    ),
    "files.misencoded": (
        "{name} 第 {line} 行的编码不是 {encoding}；用 encoding 指明编码，或修好文件",
        "{name}, line {line}: not in {encoding}; set `encoding`, or mend the file",
    ),
    "files.missing": ("没有 {reason}", "there is no {reason}"),
    "files.no_driver": (
        "缺少库：{reason}；pip install 'noria[files]'，S3 用 'noria[s3]'，其他存储另装 fsspec 的驱动",
        "a library is missing: {reason}; pip install 'noria[files]', for S3 'noria[s3]', for another store fsspec's driver",
    ),
    "files.there": ("目录可用，{count} 个文件", "the folder is there; files: {count}"),
    "files.unreadable": ("{name} 读不通：{reason}", "{name} can't be read: {reason}"),
    "programs.batches": (
        "{program} 用文件分批交付（BATCH），请在它的配置中关掉",
        "{program} hands over files (BATCH); turn that off in its configuration",
    ),
    "programs.command": ("{value} 不是命令：{reason}", "{value} is no command: {reason}"),
    "programs.ended": ("{program} 失败（退出码 {code}）：{reason}", "{program} failed with exit code {code}: {reason}"),
    "programs.incomplete": (
        "{program} 说这个数据流没有读完：{reason}",
        "{program} says that this is not all of the stream: {reason}",
    ),
    "programs.long_line": ("{program} 有一行超过 {most} MB", "{program} has a line of more than {most} MB"),
    "programs.no_command": ("连接没有写 {name}", "the connection has no {name}"),
    "programs.no_manifest": (
        "没有写 manifest（声明式清单），或另一个来源的命令 source",
        "there is no manifest, nor the command of another source",
    ),
    "programs.no_state": (
        "{program} 没有交回状态，是否已写入不明：{reason}",
        "{program} has not given the state back, so nobody knows what it wrote: {reason}",
    ),
    "programs.no_stream": (
        "{program} 没有数据流 {name}；有：{known}",
        "{program} has no stream {name}; there is: {known}",
    ),
    "programs.not_json": ("{program} 输出的不是 JSON：{line}", "{program} says what is no JSON: {line}"),
    "programs.not_started": ("无法启动 {program}：{reason}", "{program} can't be started: {reason}"),
    "programs.refused": ("{program} 连不上：{reason}", "{program} can't connect: {reason}"),
    "programs.says_nothing": ("{program} 对 {verb} 没有回答", "{program} has no answer to {verb}"),
    "programs.silent": (
        "{program} 已 {seconds} 秒没有输出：{reason}",
        "{program} has said nothing for {seconds} seconds: {reason}",
    ),
    "programs.stopped": ("{program} 停止：{reason}", "{program} has stopped: {reason}"),
    "programs.streams": ("可用，{count} 个数据流：{names}", "it answers; {count} streams: {names}"),
    "programs.there": ("{program} 可用", "{program} answers"),
    "programs.unreadable": ("{name} 读不通：{reason}", "{name} can't be read: {reason}"),
    "connection.said_twice": (
        "字段 {field} 在 request 与 otherRequest 中重复：哪个是数据、哪个是选项，无法区分",
        "{field} is both in request and in otherRequest: which is the row's and which is said once can't be told",
    ),
    "connection.only_read": ("连接器 {connector} 只能作为来源", "connector {connector} can only be a source"),
    "files.unreadable_line": ("{name} 第 {line} 行读不通：{reason}", "{name}, line {line}: can't be read: {reason}"),
    "sql.bad_name": ("{name} 不是表名或列名", "{name} is no name of a table or column"),
    "sql.bad_url": ("{url} 不是数据库地址", "{url} is no address of a database"),
    "sql.url_hint": (
        "写作 postgresql://主机/库、mysql://主机/库 或 sqlite:///路径",
        "write postgresql://host/database, mysql://host/database or sqlite:///path",
    ),
    "sql.failed": ("数据库：{reason}", "the database: {reason}"),
    "sql.no_driver": (
        "缺少数据库驱动：{reason}；pip install noria[mysql] 或 noria[postgres]",
        "a driver is missing: {reason}; pip install noria[mysql] or noria[postgres]",
    ),
    "sql.no_statement": ("缺少 {name}", "{name} is missing"),
    "sql.there": ("数据库可用（{database}）", "the database answers ({database})"),
    "sql.too_many": (
        "语句没有 LIMIT，结果超过 {most} 行；用 :limit、:offset 分页，或用接口 table",
        "the statement has no LIMIT and gives more than {most} rows; page by :limit and :offset, or use api table",
    ),
    "connection.broken_connector": (
        "连接器 {connector} 无法加载：{reason}",
        "connector {connector} can't be loaded: {reason}",
    ),
    "connection.credentials": (
        "连接器 {connector} 需要 {keys}",
        "connector {connector} needs {keys}",
    ),
    "connection.credentials_hint": (
        "在 [connections.{name}] 中补上 {key}，密钥写作 env:名称",
        "add {key} to [connections.{name}]; write env:NAME for a secret",
    ),
    "connection.okki_credentials": (
        "小满连接需要 client_id 和 client_secret，或 token",
        "an OKKI connection needs client_id and client_secret, or a token",
    ),
    "connection.okki_hint": (
        "企业管理 → 外部对接 → API对接 中获取，写作 env:名称",
        "see OKKI CRM: 企业管理 → 外部对接 → API对接; write env:NAME",
    ),
    "connection.paging_incomplete": ("{type} 分页缺少 {key}", "paging of type {type} needs {key}"),
    "connection.sql": (
        "SQL 不是 HTTP 方法，该连接器不能执行 SQL",
        "SQL is no HTTP method: this connector can't execute SQL",
    ),
    "connection.sql_hint": ("使用数据库连接，或改为 GET、POST", "use a connection to a database, or write GET or POST"),
    "connection.unknown_api": ("{connector} 没有接口 {api}", "{connector} has no endpoint {api}"),
    "connection.wrong_method": (
        "{api} 只接受 {expected}，不接受 {method}",
        "{api} takes {expected}, not {method}",
    ),
    "connection.parameter_dropped": (
        "{api} 没有参数 {field}，发送时略去",
        "{api} has no parameter {field}; it is left out of the request",
    ),
    "connection.field_unknown": ("{api} 没有字段 {field}", "{api} has no field {field}"),
    "connection.field_missing": ("{api} 必须有 {field}", "{api} can't do without {field}"),
    "connection.parameter_hint": ("可用的参数：{known}", "its parameters: {known}"),
    "connections.ask_remove": (
        "删除连接 {name}？密钥文件会保留。",
        "Remove the connection {name}? Files of secrets stay.",
    ),
    "connections.bad_name": (
        "请填写名称：字母或数字开头，只含字母、数字、横线、下划线，最多 40 个字符",
        "name it: a letter or digit first, then letters, digits, dashes, underscores, at most 40 characters",
    ),
    "connections.conflict": (
        "noria.toml 刚被改过，没有保存；请重新打开再试",
        "noria.toml has just been changed, so nothing was saved; open it again",
    ),
    "connections.mend_first": ("请先改正下面的错误", "mend the errors below first"),
    "connections.more": ("更多设置", "More settings"),
    "connections.name": ("名称", "name"),
    "connections.new": ("新建连接", "New connection"),
    "connections.not_written": (
        "noria.toml 的写法无法在这里修改：{reason}",
        "noria.toml is written in a way that can't be changed here: {reason}",
    ),
    "connections.remove": ("删除连接", "Remove the connection"),
    "connections.secret_hint": (
        "写 env:变量名，或密钥本身（只写入 secrets/ 下的文件，不再显示）",
        "env:NAME, or the secret itself (it goes into a file under secrets/ and is not shown again)",
    ),
    "connections.secret_set": ("已设置；留空则不变", "set; leave it empty to keep it"),
    "connections.taken": ("已有这个名称的连接", "there is a connection of that name already"),
    "connections.used": ("还有方案在用：{plans}", "plans use it: {plans}"),
    "connections.where": (
        "保存在 noria.toml 里，注释和其他内容不变；密钥只存在 secrets/ 的文件中。",
        "Saved in noria.toml, whose comments and other parts stay; secrets are only in files under secrets/.",
    ),
    "probe.there": ("连得上（HTTP {status}）", "it is there (HTTP {status})"),
    "probe.token": ("连得上，凭据有效（HTTP {status}）", "it is there and takes the credentials (HTTP {status})"),
}
