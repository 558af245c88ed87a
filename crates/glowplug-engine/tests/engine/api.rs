//! The Runtime API's answers to a client that does not behave, from inside a function.

use serde_json::json;

use crate::support::Function;

#[test]
fn wrong_requests_get_lambdas_refusals() {
    let source = "
import http.client, json, os
def ask(method, path, body=None):
    connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
    connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    try:
        text = json.loads(text)['errorType']
    except (ValueError, KeyError):
        pass
    return [answer.status, text]
def handler(event, context):
    base = '/2018-06-01/runtime'
    return [ask('GET', '/2018-06-01/ping'),
            ask('POST', base + '/invocation/wrong/response', '{}'),
            ask('POST', base + '/invocation/wrong/error', '{}'),
            ask('POST', base + '/init/error', '{}'),
            ask('GET', base + '/invocation/next'),
            ask('GET', '/elsewhere')]
";
    let answers = Function::new(source).answer("{}");
    assert_eq!(
        answers,
        json!([
            [200, "pong"],
            [400, "InvalidRequestID"],
            [400, "InvalidRequestID"],
            [403, "InvalidStateTransition"],
            [403, "InvalidStateTransition"],
            [404, "404 page not found\n"]
        ])
    );
}

#[test]
fn an_answer_counts_once() {
    let source = "
import http.client, os
def handler(event, context):
    def answer(body):
        connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
        path = '/2018-06-01/runtime/invocation/%s/response' % context.aws_request_id
        connection.request('POST', path, body)
        return connection.getresponse().status
    open('/tmp/statuses', 'w').write(repr([answer('1'), answer('2')]))
    os._exit(0)
";
    let (invocation, _) = Function::new(source).once("{}");
    assert_eq!(crate::support::success(&invocation, b""), 1);
}
