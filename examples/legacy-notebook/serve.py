import joblib
from flask import Flask, jsonify, request

app = Flask(__name__)
model = joblib.load("model.pkl")


@app.route("/predict", methods=["POST"])
def predict():
    return jsonify(species=[str(name) for name in model.predict(request.json["features"])])


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
