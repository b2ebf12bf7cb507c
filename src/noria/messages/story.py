"""Words about single records, and what people decide about them."""

TEXTS: dict[str, tuple[str, str]] = {
    "story.mapping": ("从原文到目标字段", "From the record to each field"),
    "story.reads": ("读取的源字段", "reads"),
    "story.sent_value": ("发送的值", "value sent"),
    "story.absent": ("（没有）", "(absent)"),
    "story.constant": ("固定值", "a constant"),
    "story.whole": (
        "这个方案不做字段映射：整条数据原样发送。",
        "This plan maps no fields: the whole record is sent as it is.",
    ),
    "story.changed": (
        "方案的映射在发送之后改过：下面的表达式是现在的，值是当时发送的，不会重新计算。",
        "The plan's mapping has changed since this was sent: the expressions are those of now, the values those that"
        " were sent; they are not computed anew.",
    ),
    "story.merged": ("这份单据由 {count} 条数据合并而成。", "Records that are merged into this document: {count}."),
    "story.sent": ("发送的内容", "As it was sent"),
    "story.request": ("请求", "Request"),
    "story.answer": ("回答", "Answer"),
    "story.no_answer": ("没有收到回答", "no answer came"),
    "story.in_batch": (
        "批次 {batch}，共 {rows} 条；下面是这一条的部分",
        "batch {batch} of {rows} records; below, this one's part",
    ),
    "story.edit": ("修改后重发", "Edit and resend"),
    "story.edits": ("人工修改", "Corrections"),
    "story.edit_waits": (
        "{who} 修改过要发送的内容，等待下一次写入。",
        "{who} corrected what is sent; it goes with the next delivery.",
    ),
    "story.edit_superseded": (
        "源数据后来变了，这次修改不再用于新内容",
        "the source changed it later: the newer content goes as mapped",
    ),
    "story.edit_taken_back": ("改回按映射发送", "back to what the mapping makes"),
    "story.edit_sent": ("随批次 {batch} 发送", "sent in batch {batch}"),
    "story.edit_unsent": ("没有发送", "was not sent"),
    "story.edit_pending": ("等待发送", "waits to be sent"),
    "story.edit_merged": (
        "这条数据和另外的数据合并成一份单据（共 {count} 条）：修改的是整份单据，{count} 条一起重新发送；"
        "如果其中一条有了新内容，或又有数据并入，就按映射重新生成。",
        "This record is merged into a document with others ({count} in all): you correct the whole document, and all"
        " {count} are sent again together. Should one of them change, or another join, the mapping makes it anew.",
    ),
    "story.edit_part": (
        "这条数据没能映射：下面只有映射得出的字段，请补全。",
        "This record could not be mapped: below are the fields that could be; please complete it.",
    ),
    "story.edit_doubt": (
        "上一次发送的结果不明，可能已经写入。我已在目标系统核对，要用新的幂等键发送。",
        "Nobody knows whether the last send was carried out. I have looked at the target, and want this sent under a"
        " new idempotency key.",
    ),
    "story.edit_what": (
        "确认后：{count} 条数据回到“等待”，用上面的内容发送一次（照常分批、重试）；映射原来的结果、修改后的内容、"
        "修改人、时间和原因都会保留。源数据以后再变化时，按映射发送新内容。",
        "Then: records that go back to pending: {count}; they are sent once as above, in batches and with retries like"
        " any other. What the mapping made, what you made of it, who, when and why are kept. When the source changes"
        " the record later, its new content goes as the mapping makes it.",
    ),
    "story.edit_more": ("继续修改", "Edit further"),
    "story.nothing_made": (
        "映射没有结果；以下全部由人填写。",
        "The mapping had made nothing; all of this is by hand.",
    ),
    "story.differences": ("与原来的差别", "What you change"),
    "story.payload_json": ("要发送的内容（JSON 对象）", "what is sent (a JSON object)"),
    "story.compare": ("查看差别", "Show what changes"),
    "story.send_edited": ("按修改后的内容发送", "Send as edited"),
    "story.cancel": ("取消", "Cancel"),
    "story.why": ("原因", "why"),
    "story.lines_left": ("{count} 行相同", "{count} lines the same"),
    "story.skip": ("跳过", "Skip"),
    "story.skip_what": (
        "这 1 条数据不再发送，状态变为“已跳过”；重放可以撤销。",
        "This 1 record is not sent any more and becomes “skipped”; replaying it undoes that.",
    ),
    "story.done": ("标为已写入", "Mark as done"),
    "story.done_what": (
        "用于已经有人在目标系统里手工录入的情况：这 1 条数据变为“已写入”，不再发送；重放可以撤销。",
        "For a record that somebody wrote into the target by hand: this 1 record becomes “delivered” and is not sent;"
        " replaying it undoes that.",
    ),
    "story.take_back": ("改回按映射发送", "Send what the mapping makes"),
    "story.take_back_what": (
        "放弃人工修改，这条数据按映射的结果重新发送。",
        "The correction no longer counts; the record is sent again as the mapping makes it.",
    ),
    "payload.not_json": ("不是有效的 JSON：{reason}", "this is not valid JSON: {reason}"),
    "payload.not_an_object": ("必须是一个 JSON 对象 {{…}}", "this must be a JSON object {{…}}"),
    "payload.twice": ("键 {key} 出现了两次", "the key {key} is there twice"),
    "payload.too_long": ("太长，最多 {most} 个字符", "too long: {most} characters at most"),
    "payload.required": ("必填字段 {field} 是空的", "the required field {field} is empty"),
    "payload.same": ("没有任何改动；不改内容请用“重放”", "nothing is changed; to send it as it was, replay it"),
    "payload.why": ("请写明原因", "say why"),
    "payload.place": ("第 {line} 行，第 {column} 列", "line {line}, column {column}"),
    "reason.corrected": ("{who} 修改后重发：{why}", "{who} corrected it and sent it again: {why}"),
    "reason.uncorrected": ("{who} 改回按映射发送：{why}", "{who} went back to what the mapping makes: {why}"),
    "reason.skipped_by_hand": ("{who} 跳过：{why}", "{who} skipped it: {why}"),
    "reason.delivered_by_hand": ("{who} 标为已写入：{why}", "{who} says it is in the target: {why}"),
    "byhand.not_open": (
        "这条数据现在不能处理：正在发送、已经写入，或已有更新的内容",
        "this can't be decided now: it is being sent, has been delivered, or has newer content",
    ),
    "byhand.not_open_hint": ("刷新后再看", "look at it again"),
    "byhand.changed": ("别人刚刚修改过这条数据", "somebody else has just corrected this record"),
    "byhand.changed_hint": ("刷新后再改", "look at it again first"),
    "byhand.doubt": (
        "上一次发送的结果不明，可能已经写入",
        "nobody knows whether the last send was carried out",
    ),
    "byhand.doubt_hint": (
        "先在目标系统核对，再确认用新的幂等键发送",
        "look at the target first, then say that it is to go under a new idempotency key",
    ),
    "byhand.shared_doubt": (
        "它和别的数据在同一个结果不明的批次里，只能一起决定",
        "it is in one batch with others of which nobody knows what became, and they are decided together",
    ),
    "byhand.shared_doubt_hint": (
        "先重放整个批次（noria replay --anew 会逐条发送）",
        "replay the whole batch first (noria replay --anew sends its records one by one)",
    ),
    "console.not_open": (
        "这条数据现在不能处理：正在发送、已经写入，或已有更新的内容",
        "this can't be decided now: it is being sent, has been delivered, or has newer content",
    ),
    "console.no_id_no_edit": (
        "没有唯一主键的数据不能修改后重发，请在源系统修正",
        "a record without an id of its own can't be corrected here; correct it at the source",
    ),
    "console.no_document_yet": (
        "这个方案把多条数据合并成单据，而这条还没有进过任何单据，不能修改；请在源系统修正",
        "this plan merges records into documents, and this one has not been in any: correct it at the source",
    ),
    "console.not_corrected": ("这条数据没有人工修改", "nobody has corrected this record"),
    "console.say_why": ("请写明原因", "say why"),
    "console.too_many_words": ("原因太长", "that is too long a reason"),
    "console.all_plans": ("全部方案", "all plans"),
    "console.records_of_all": ("全部方案的数据", "Records of all plans"),
    "console.error_has": ("原因包含", "reason has"),
    "console.staged_from": ("入账从", "staged from"),
    "console.staged_to": ("到", "to"),
    "console.no_filter": ("清除筛选", "clear"),
    "console.choose": ("选择", "choose"),
    "console.choose_page": ("选择本页", "this page"),
    "console.choose_all": ("所有符合筛选的", "all that match"),
    "console.chosen": ("已选 {count} 条", "chosen: {count}"),
    "console.export_csv": ("导出 CSV", "Export CSV"),
    "console.looked_so_far": (
        "看过的这些里没有符合的；更早的还没有看",
        "none among those looked at so far; there are older ones",
    ),
    "console.no_such_format": ("没有这种格式", "there is no such format"),
    "console.no_such_act": ("没有这个操作", "there is no such act"),
    "console.bad_time": ("时间写得不对", "this is no time"),
    "confirm.count": ("{count} 条数据", "records: {count}"),
    "confirm.replay": (
        "这 {count} 条数据回到“等待”，在下一次写入时重新发送；人工修改过的按修改后的内容发送。",
        "Records that go back to pending and are sent again with the next delivery: {count}; corrected ones as they"
        " were corrected.",
    ),
    "confirm.skip": (
        "这 {count} 条数据不再发送，状态变为“已跳过”；重放可以撤销。",
        "Records that are not sent any more and become “skipped”: {count}; replaying them undoes that.",
    ),
    "confirm.mark_done": (
        "这 {count} 条数据变为“已写入”，不再发送；用于已经有人在目标系统里手工录入的情况。重放可以撤销。",
        "Records that become “delivered” and are not sent, because somebody wrote them into the target by hand:"
        " {count}; replaying them undoes that.",
    ),
    "confirm.these_only": (
        "只包括失败、死信、无效和待人工的数据；在此之后状态又有变化的不会改动。操作会记入操作记录。",
        "Only failed, dead, invalid and held ones count; those that have changed since you were asked are left alone."
        " It is put on record.",
    ),
    "export.plan": ("方案", "plan"),
    "export.id": ("主键", "id"),
    "export.number": ("编码", "number"),
    "export.state": ("状态", "state"),
    "export.reason": ("原因", "reason"),
    "export.attempts": ("尝试", "tries"),
    "export.staged_at": ("入账时间", "staged at"),
    "export.delivered_at": ("写入时间", "delivered at"),
    "export.retry_at": ("重试时间", "retry at"),
    "done.edit": ("{plan}：{count} 条数据将按修改后的内容发送", "{plan}: to be sent as edited: {count}"),
    "done.unedit": ("{plan}：{count} 条数据将按映射发送", "{plan}: to be sent as mapped: {count}"),
    "done.skip": ("{plan}：已跳过 {count} 条数据", "{plan}: records skipped: {count}"),
    "done.mark_done": ("{plan}：{count} 条数据已标为已写入", "{plan}: records marked as done: {count}"),
}
